"""Four short articles of a harbour town, written here, behind one feed on loopback: as much as a small model reads."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

ARTICLES = {
    "cranes": (
        "Port of Lunden orders four electric cranes",
        "The Port of Lunden has ordered four electric cranes for its western quay. The cranes are built by Harwell "
        "Lifting, a company in the north of the country that makes cranes for harbours.",
        "The first crane arrives in March. The other three follow before the end of the year. Together they replace "
        "seven machines that run on diesel oil, and the port says that they halve the noise on the quay.",
        "Container ships wait eleven hours at the western quay today. With the new cranes the port wants to unload a "
        "ship in six hours. A battery in each crane stores the energy that comes free when a container goes down.",
        "The harbour master, Ada Brandt, said that the crews are trained in winter. The terminal stays open while the "
        "cranes are set up. The town council supports the order, because trucks will leave the port faster.",
    ),
    "ferry": (
        "Ferry line tests a ship that sails without fuel",
        "Nordkai Ferries has begun to test a ship that sails with batteries alone between the port of Lunden and the "
        "island of Sandholm. Nordkai Ferries is a shipping company that runs nine ferries in the region.",
        "The ship takes ninety cars and needs forty minutes for a crossing. It is charged at the quay within "
        "twenty minutes. The tower for that was built in the harbour last summer.",
        "In its first week the ship sailed on time on every day but one. On that day the charger did not find the "
        "plug of the ship. The engineers changed the program of the charger, and the fault did not come back.",
        "The captain, Jonas Weil, said that passengers noticed first how quiet the ship is. If the test goes well, the "
        "company will order two further ships. The port plans a second tower for the terminal on the island.",
    ),
    "customs": (
        "Customs office opens a counter for small freight",
        "The customs office of Lunden opens a counter for small freight in the port. Firms that import single pallets "
        "no longer have to drive to the main office, which stands outside the town.",
        "The counter is open on five days of the week. Papers can be sent ahead, and most pallets leave the harbour on "
        "the day on which they arrive. Until now they stood in the terminal for three days on average.",
        "Traders had asked for the counter for years. The chamber of commerce counted two thousand pallets that waited "
        "too long last year, among them food that had to be thrown away.",
        "The head of the office, Helga Thorn, said that the staff has learned to use new scanners. A container is "
        "still examined at the eastern quay. The fees stay the same, and the office will report in autumn.",
    ),
    "storm": (
        "Storm damages the breakwater of the old harbour",
        "A storm has damaged the breakwater of the old harbour of Lunden. The sea broke through it in two places, "
        "and water ran over the quay and into the fish market. Nobody was hurt.",
        "Divers of the Lunden Rescue Society looked at the wall in the morning. The Lunden Rescue Society is a "
        "charity that saves people at sea. The divers found that the stones at the foot of the wall have moved.",
        "The port has closed the old harbour for ships that are longer than twenty metres. Fishing boats may moor at "
        "the terminal for containers until the wall is mended, which takes about five weeks.",
        "The breakwater was built more than a hundred years ago. The port authority had planned to repair it next "
        "year. It now asks the state for money, and wants to begin as soon as the sea is calm.",
    ),
}
"""By name: the title, and the paragraphs."""

SETTINGS = {
    "company": {
        "name": "the Lunden shipping agents",
        "description": "Agents who book quays and ships in the port of Lunden.",
    },
    "categories": [
        {
            "id": "ports",
            "name": "Ports",
            "description": "Harbours, quays, terminals, cranes and what moves through them.",
            "keywords": ["port", "harbour", "quay", "terminal", "container", "ship"],
        },
        {
            "id": "rules",
            "name": "Rules",
            "description": "Customs, fees, permits and what authorities decide.",
            "keywords": ["customs", "fees", "authority", "council"],
        },
    ],
}
"""The part of a run's settings that goes with the articles; source and model come to it."""


class FourArticles:
    """Serves feed and pages; `feed` is the feed's address."""

    def __enter__(self) -> FourArticles:
        documents: dict[str, tuple[str, bytes]] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content_type, body = documents.get(self.path, ("", b""))
                self.send_response(200 if content_type else 404)
                self.send_header("Content-Type", content_type or "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        site = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.feed = f"{site}/feed.xml"
        items = ""
        for age, (name, (title, *paragraphs)) in enumerate(ARTICLES.items()):
            when = datetime.now(UTC) - timedelta(hours=6 + age)
            body = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
            page = (
                f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title></head>"
                f"<body><main><article><h1>{escape(title)}</h1>\n{body}\n</article></main></body></html>"
            )
            documents[f"/{name}"] = ("text/html; charset=utf-8", page.encode())
            items += (
                f"<item><title>{escape(title)}</title><link>{site}/{name}</link><guid>{site}/{name}</guid>"
                f"<pubDate>{format_datetime(when)}</pubDate></item>"
            )
        feed = f"<rss version='2.0'><channel><title>Lunden Post</title><link>{site}/</link>{items}</channel></rss>"
        documents["/feed.xml"] = ("application/rss+xml", f"<?xml version='1.0' encoding='utf-8'?>{feed}".encode())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
