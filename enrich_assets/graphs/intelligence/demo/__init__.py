"""The demo: a small press of fictional articles, and the site on loopback that publishes them."""
