// Order, filter, search and keys of the gallery. Without it every story stands there, in full.
(() => {
  "use strict";
  const form = document.querySelector(".tools");
  const list = document.querySelector(".cards");
  const count = document.querySelector(".count");
  const nothing = document.querySelector(".nothing");
  const cards = [...list.children];
  const search = form.elements.q;

  // Case and accents do not matter in a search.
  const fold = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const texts = new Map(cards.map((card) => [card, fold(
    [card.querySelector("h3"), ...card.querySelectorAll("figcaption, .said p")]
      .map((part) => part.textContent).join("\n"))]));

  let shown = cards;
  let current = null;

  // Lower is better for a rank; for all else higher counts as better.
  const value = (card, by) => {
    const number = Number(card.dataset[by]);
    return by === "rank" ? -number : number;
  };

  function update() {
    const { order, by, show, split } = form.elements;
    // Words, in any order; "in quotes" as they stand.
    const words = (fold(search.value).match(/"[^"]+"|[^\s"]+/g) ?? [])
      .map((word) => word.replaceAll('"', ""));
    shown = cards.filter((card) =>
      (!split || !split.value || card.dataset.split === split.value) &&
      (!show.value || card.dataset.tags.split(" ").includes(show.value)) &&
      words.every((word) => texts.get(card).includes(word)));
    if (order.value !== "fair") {
      const sign = order.value === "best" ? -1 : 1;
      shown.sort((a, b) => sign * (value(a, by.value) - value(b, by.value)));
    }
    const visible = new Set(shown);
    for (const card of cards) card.hidden = !visible.has(card);
    list.append(...shown);
    nothing.hidden = shown.length > 0;
    count.textContent = shown.length === 1 ? "1 story" : `${shown.length} stories`;
    if (!visible.has(current)) current = null;
    highlight(words);
  }

  function highlight(words) {
    if (!("highlights" in CSS)) return;
    CSS.highlights.delete("found");
    if (!words.length) return;
    const ranges = [];
    for (const card of shown) {
      for (const part of card.querySelectorAll("figcaption, .said p")) {
        for (const node of part.childNodes) {
          if (node.nodeType !== Node.TEXT_NODE) continue;
          const text = node.data.toLowerCase();
          for (const word of words) {
            for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
              const range = new Range();
              range.setStart(node, at);
              range.setEnd(node, at + word.length);
              ranges.push(range);
            }
          }
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }

  function go(step) {
    if (!shown.length) return;
    const at = shown.indexOf(current);
    current = shown[at < 0 ? 0 : Math.min(Math.max(at + step, 0), shown.length - 1)];
    current.focus({ preventScroll: true });
    current.scrollIntoView({ block: "start" });
  }

  function open(card) {
    const whole = card.classList.toggle("open");
    card.querySelector(".more").setAttribute("aria-expanded", String(whole));
  }

  const keys = {
    j: () => go(1),
    ArrowRight: () => go(1),
    k: () => go(-1),
    ArrowLeft: () => go(-1),
    e: () => (current ? open(current) : null),
    "/": () => { search.focus(); search.select(); },
  };

  // A search field and a list take every key, radio buttons and wide tables the arrows alone.
  const taken = (at, key) => at.closest("input[type=search], select") ||
    (key.startsWith("Arrow") && at.closest("input, .wide"));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (event.key === "Escape" && at === search) {
      search.value = "";
      search.blur();
      update();
    } else if (keys[event.key] && !taken(at, event.key)) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  list.addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (!card) return;
    current = card;
    if (event.target.closest(".more, .strip figcaption") && !String(getSelection())) open(card);
  });
  document.querySelector(".reset").addEventListener("click", () => { form.reset(); update(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", update);
  // Asking for an order by something means the best by it.
  form.elements.by.addEventListener("change", () => {
    if (form.elements.order.value === "fair") form.elements.order.value = "best";
    update();
  });
  // A link to a story that the filter hides brings it back.
  window.addEventListener("hashchange", () => {
    const card = document.getElementById(location.hash.slice(1));
    if (card && card.hidden) {
      form.reset();
      if (form.elements.split) form.elements.split.value = "";
      update();
      card.scrollIntoView({ block: "start" });
    }
  });

  document.documentElement.classList.add("scripted");
  for (const part of document.querySelectorAll(".tools, .more, .keys")) part.hidden = false;
  update();
})();
