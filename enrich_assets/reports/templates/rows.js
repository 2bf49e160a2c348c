"use strict";
(() => {
  const rows = Array.from(document.querySelectorAll("tr[data-phase]"));
  const controls = document.getElementById("controls");
  if (!controls || !rows.length) return;
  const search = document.getElementById("search");
  const selects = { phase: document.getElementById("by-phase"), outcome: document.getElementById("by-outcome"), reason: document.getElementById("by-reason") };
  const count = document.getElementById("count");
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, place) => {
      const fits = Object.entries(selects).every(([name, select]) => !select.value || row.dataset[name] === select.value)
        && words.every((word) => texts[place].includes(word));
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    });
    count.textContent = `${shown} of ${rows.length} rows on this page`;
  };
  const pick = (values) => {
    search.value = "";
    for (const [name, select] of Object.entries(selects)) select.value = values[name] || "";
    apply();
  };
  controls.hidden = false;
  search.addEventListener("input", apply);
  Object.values(selects).forEach((select) => select.addEventListener("change", apply));
  document.getElementById("clear").addEventListener("click", () => pick({}));
  document.querySelectorAll("a[data-pick]").forEach((link) => link.addEventListener("click", () => pick(link.dataset)));
  apply();
})();
