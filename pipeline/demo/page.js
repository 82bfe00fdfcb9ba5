// The page: frames with a picture and a caption each, and what the model makes of them.
(() => {
  "use strict";
  const $ = (selector, within = document) => within.querySelector(selector);
  const form = $("#story");
  const list = $(".frames");
  const status = $(".status");
  const result = $(".result");
  const POLL = 250; // milliseconds between looks at the place in line
  const NUMBERS = ["Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];

  // Of each frame's element: { file } or { example: number }, and what it is called. The elements
  // themselves are the list, so that a caption moves with its frame.
  const pictures = new Map();
  let about = null;
  let story = null; // the example that the frames were filled from, as long as they are its own
  let seed = 0;
  let busy = null; // aborts the request under way

  const frames = () => [...list.children];
  const caption = (frame) => $("textarea", frame);
  const problem = (text, within = form) => { $(":scope > .problem", within).textContent = text; };
  const node = (tag, name, text = "") => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  };
  const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

  // What the server says; its errors are sentences.
  async function ask(path, options = {}) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer: does it still run in its terminal?");
    }
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
    throw new Error(sentence(error));
  }
  const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

  // --- frames

  function number() {
    const all = frames();
    all.forEach((frame, i) => {
      const n = i + 1;
      $(".grip", frame).textContent = n;
      const picture = pictures.get(frame);
      $("input", frame).setAttribute("aria-label", `Picture of frame ${n}${picture ? `: ${picture.name}` : ""}`);
      caption(frame).setAttribute("aria-label", `Caption of frame ${n}`);
      $("img", frame).alt = picture ? `Frame ${n}: ${picture.name}` : "";
      for (const [name, text, off] of [
        ["earlier", `Move frame ${n} earlier`, i === 0],
        ["later", `Move frame ${n} later`, i === all.length - 1],
        ["remove", `Clear frame ${n}`, !picture && !caption(frame).value],
      ]) {
        const button = $(`.${name}`, frame);
        button.setAttribute("aria-label", text);
        button.title = text;
        button.setAttribute("aria-disabled", off); // focus stays, unlike with `disabled`
      }
    });
  }

  // The neighbours move, not the frame itself: it keeps the focus and the pointer that drags it.
  function move(frame, later) {
    const other = later ? frame.nextElementSibling : frame.previousElementSibling;
    if (!other) return;
    if (later) frame.before(other); else frame.after(other);
    changed();
    status.textContent = `Frame moved to place ${frames().indexOf(frame) + 1} of ${about.k}.`;
  }

  function changed() {
    story = null;
    number();
    $(".outdated").hidden = false;
    result.classList.add("old");
  }

  function show(frame, source) {
    const image = $("img", frame);
    if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
    image.hidden = !source;
    if (source) image.src = source; else image.removeAttribute("src");
    $(".invitation", frame).hidden = Boolean(source);
  }

  function clear(frame) {
    pictures.delete(frame);
    caption(frame).value = "";
    problem("", frame);
    show(frame, null);
    changed();
  }

  // The server decodes what it is given as the model will: the preview is what the model sees.
  async function take(frame, file) {
    const picture = { file, name: file.name };
    pictures.set(frame, picture);
    problem("", frame);
    show(frame, null);
    changed();
    frame.classList.add("reading");
    try {
      if (file.size > about.max_picture_bytes) {
        throw new Error(`${file.name} has more than ${about.max_picture_bytes / 1e6} MB: make it smaller.`);
      }
      const small = await (await ask("picture", { method: "POST", body: file })).blob();
      if (pictures.get(frame) === picture) show(frame, URL.createObjectURL(small));
    } catch (error) {
      if (pictures.get(frame) !== picture) return; // another one has been chosen since
      pictures.delete(frame);
      problem(`${file.name}: ${error.message}`, frame);
    } finally {
      if (!pictures.has(frame) || pictures.get(frame) === picture) frame.classList.remove("reading");
      number();
    }
  }

  // One picture goes where it is put; several fill that frame and then those that are empty.
  function takeAll(files, at) {
    const natural = new Intl.Collator("en", { numeric: true });
    const chosen = [...files].sort((a, b) => natural.compare(a.name, b.name));
    if (!chosen.length) return;
    const empty = frames().filter((frame) => frame !== at && !pictures.has(frame));
    const free = at ? [at, ...empty] : empty;
    chosen.slice(0, free.length).forEach((file, i) => take(free[i], file));
    const left = chosen.length - free.length;
    problem(left > 0
      ? `${count(left, "picture")} found no place: the model reads ${about.k}. Clear a frame to have room.` : "");
  }

  function addFrame() {
    const frame = $("#frame").content.firstElementChild.cloneNode(true);
    const input = $("input", frame);
    list.append(frame);
    caption(frame).maxLength = about.max_caption;
    input.addEventListener("change", () => { takeAll(input.files, frame); input.value = ""; });
    caption(frame).addEventListener("input", changed);
    $(".earlier", frame).addEventListener("click", () => move(frame, false));
    $(".later", frame).addEventListener("click", () => move(frame, true));
    $(".remove", frame).addEventListener("click", () => clear(frame));
    const grip = $(".grip", frame);
    grip.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
      frame.classList.add("dragged");
    });
    grip.addEventListener("pointermove", (event) => {
      if (!frame.classList.contains("dragged")) return;
      const over = document.elementFromPoint(event.clientX, event.clientY)?.closest(".frame");
      if (!over || over === frame) return;
      const steps = frames().indexOf(over) - frames().indexOf(frame);
      for (let i = 0; i < Math.abs(steps); i++) move(frame, steps > 0);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      grip.addEventListener(end, () => frame.classList.remove("dragged"));
    }
  }

  function holdsFiles(event) {
    return [...(event.dataTransfer?.types ?? [])].includes("Files");
  }
  const mark = (target) => {
    const over = target?.closest?.(".frame");
    for (const frame of frames()) frame.classList.toggle("over", frame === over);
  };
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(event.target);
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(null); });
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(null);
    takeAll(event.dataTransfer.files, event.target.closest?.(".frame"));
  });
  addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    takeAll(event.clipboardData.files, event.target.closest?.(".frame"));
  });

  // --- captions

  function missing() {
    for (const [i, frame] of frames().entries()) {
      if (!pictures.has(frame)) return [$("input", frame), `Frame ${i + 1} has no picture yet.`];
      if (about.needs_captions && !caption(frame).value.trim()) return [caption(frame), `Frame ${i + 1} has no caption yet.`];
    }
    return null;
  }

  async function write() {
    if (busy) return;
    const lack = missing();
    problem(lack ? lack[1] : "");
    if (lack) { lack[0].focus(); return; }
    const body = new FormData();
    for (const frame of frames()) {
      const { file, example } = pictures.get(frame);
      body.append("picture", file ?? String(example));
      body.append("caption", caption(frame).value);
    }
    const ticket = [...crypto.getRandomValues(new Uint32Array(4))].map((n) => n.toString(16)).join("");
    body.append("seed", String(seed));
    body.append("ticket", ticket);
    const of = story;
    busy = new AbortController();
    form.classList.add("busy");
    $(".primary").setAttribute("aria-disabled", "true");
    status.textContent = "Writing …";
    const begun = performance.now();
    const looking = setInterval(() => look(ticket), POLL);
    try {
      const answer = await ask("captions", { method: "POST", body, signal: busy.signal });
      const written = await answer.json();
      clearInterval(looking);
      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      present(written, of);
      status.textContent = `${count(written.captions.length, "caption")} in ${seconds} s.`;
    } catch (error) {
      if (error.name === "AbortError") return; // whatever replaced it has its own status
      status.textContent = "";
      problem(error.message);
    } finally {
      clearInterval(looking);
      busy = null;
      form.classList.remove("busy");
      $(".primary").setAttribute("aria-disabled", "false");
    }
  }

  async function look(ticket) {
    const request = busy;
    const { place } = await ask(`place/${ticket}`).then((answer) => answer.json(), () => ({ place: null }));
    if (!request || busy !== request || place === null) return;
    status.textContent = place === 0 ? "Writing …" : `In line: ${count(place, "story is", "stories are")} before yours.`;
  }

  const facts = ({ score, nll, finished }) =>
    `score ${score.toFixed(2)} · ${nll.toFixed(2)} nats a token${finished ? "" : " · cut at its limit"}`;

  function present({ captions, nearest }, of) {
    const [best, ...others] = captions;
    $(".best").textContent = best.caption || "(nothing)";
    $(".best-facts").textContent = facts(best);
    $(".alternatives").replaceChildren(...others.map((other) => {
      const item = node("li", "");
      item.append(node("p", "said", other.caption || "(nothing)"), node("p", "facts quiet", facts(other)));
      return item;
    }));
    $(".truth").hidden = !of;
    $(".truth").open = false;
    if (of) {
      $(".truth img").src = `pictures/examples/${of.target}`;
      $(".truth figcaption").textContent = of.reference;
    }
    $(".neighbours").hidden = !nearest.length;
    $(".neighbours .strip").replaceChildren(...nearest.map((near) => {
      const item = node("li", "");
      const image = node("img", "");
      image.alt = `Frame ${near.frame} of story ${near.story_id}`;
      image.src = `pictures/training/${near.picture}`;
      const title = node("p", "facts quiet", `${near.story_id}, frame ${near.frame} · ${near.cosine.toFixed(2)}`);
      item.append(image, title, node("p", "said", near.caption));
      return item;
    }));
    result.hidden = false;
    result.classList.remove("old");
    $(".outdated").hidden = true;
    $("#result-title").focus({ preventScroll: true });
    result.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  // --- examples

  function fill(example) {
    busy?.abort();
    frames().forEach((frame, i) => {
      const picture = example.pictures[i];
      pictures.set(frame, { example: picture, name: `story ${example.story_id}` });
      problem("", frame);
      frame.classList.remove("reading");
      show(frame, `pictures/examples/${picture}`);
      caption(frame).value = example.captions[i];
    });
    problem("");
    changed();
    seed = 0;
    story = example;
    status.textContent = `Story ${example.story_id} of the test split is filled in.`;
    $(".primary").focus({ preventScroll: true });
    form.scrollIntoView({ block: "nearest" });
  }

  function shelf() {
    $(".examples").hidden = !about.examples.length;
    $(".shelf").append(...about.examples.map((example) => {
      const item = node("li", "");
      const button = node("button", "example");
      button.type = "button";
      button.setAttribute("aria-label", `Take story ${example.story_id}`);
      const image = node("img", "");
      image.loading = "lazy";
      image.alt = "";
      image.src = `pictures/examples/${example.pictures.at(-1)}`;
      button.append(image, node("span", "", example.story_id));
      button.addEventListener("click", () => fill(example));
      item.append(button);
      return item;
    }));
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); seed = 0; write(); });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });
  $(".again").addEventListener("click", () => { seed += 1; write(); });
  $(".clear").addEventListener("click", () => {
    busy?.abort();
    frames().forEach(clear);
    problem("");
    status.textContent = "";
    result.hidden = $(".neighbours").hidden = true;
    $("input", frames()[0]).focus();
  });

  ask("about").then((answer) => answer.json()).then((said) => {
    about = said;
    const pictures = about.k === 1 ? "picture" : "pictures";
    $("h1").textContent = `${NUMBERS[about.k] ?? about.k} ${pictures} in, the next caption out`;
    $(".model").textContent = about.model;
    if (about.training) {
      $(".training").textContent =
        `${count(about.training.frames, "frame")} in ${count(about.training.stories, "story", "stories")}`;
    }
    for (let i = 0; i < about.k; i++) addFrame();
    number();
    shelf();
  }).catch((error) => problem(error.message));
})();
