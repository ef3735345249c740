// All of the pages' own JavaScript. Gradio's components call into `verbatim` when they are first drawn; what they are
// given by Gradio: `element`, where they stand; `trigger`, which raises one of their events; `watch`, which tells of
// changes. Nothing here sends anything; kept are what is on the ask page while it is away, and which keys are off.
const verbatim = (() => {
  const LONGEST_LINKED = 2000; // characters of a passage: longer links are cut by mail programs
  const COUNT_AFTER = 500; // milliseconds after the last key; for a long passage, which travels whole, up to...
  const COUNT_LONG_AFTER = 3000;

  const find = (selector) => document.querySelector(selector);
  const question = () => find("#vb-question input");
  const passage = () => find("#vb-passage textarea");
  const answers = () => [...document.querySelectorAll("#vb-ranked .vb-answer")];
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  const self = { chosen: 1 };

  // Browsers may keep nothing for a page, and do not keep millions of characters.
  const kept = (action) => {
    try {
      return action();
    } catch {
      return null;
    }
  };

  // Says something to those who hear the page.
  const say = (sentence) => {
    find("#vb-said").textContent = "";
    requestAnimationFrame(() => { find("#vb-said").textContent = sentence; });
  };

  // Returns whether the text was copied.
  const write = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Browsers give pages their clipboard over https and on the same computer only.
    }
    const before = document.activeElement;
    const box = document.createElement("textarea");
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    before?.focus({ preventScroll: true });
    return done;
  };

  const copy = async (button, text, sentence = "Copied") => {
    if (!(await write(text))) {
      say("Could not be copied; select the words and copy them");
      return;
    }
    say(sentence);
    button.dataset.copied = "";
    setTimeout(() => delete button.dataset.copied, 1500);
  };

  // Marks

  const markChosen = () => {
    for (const mark of document.querySelectorAll("#vb-marked mark")) {
      mark.classList.toggle("vb-chosen", Number(mark.dataset.rank) === self.chosen);
    }
  };

  // Brings the chosen answer into view inside the passage's own scroll box, so that the page itself never moves.
  const showMark = () => {
    markChosen();
    const box = find("#vb-marked .vb-passage");
    const mark = find("#vb-marked mark.vb-chosen");
    if (!mark?.offsetParent) return;
    const above = mark.getBoundingClientRect().top - box.getBoundingClientRect().top;
    box.scrollTo({
      top: box.scrollTop + above - box.clientHeight / 3,
      behavior: still() ? "instant" : "smooth",
    });
  };

  self.marks = (element, watch) => {
    showMark();
    watch("value", showMark);
  };

  // Choosing

  let raise = () => {};

  const drawChoice = () => {
    for (const answer of answers()) {
      const button = answer.querySelector(".vb-choose");
      const chosen = Number(answer.dataset.rank) === self.chosen;
      if (chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  };

  const choose = (rank) => {
    self.chosen = rank;
    drawChoice();
    showMark();
    raise("select");
  };

  self.answers = (element, trigger, watch) => {
    raise = trigger;
    watch("value", () => {
      // A new list begins with its first answer, as the server drew it.
      self.chosen = 1;
      markChosen();
    });
    element.addEventListener("click", (event) => {
      const answer = event.target.closest(".vb-answer");
      if (!answer || event.target.closest(".vb-copy")) return;
      const selection = getSelection(); // by the mouse that is clicked with; keys click without
      if (event.detail && !selection.isCollapsed && selection.containsNode(answer, true)) return;
      choose(Number(answer.dataset.rank));
      answer.querySelector(".vb-choose").focus({ preventScroll: true });
    });
    addEventListener("hashchange", () => trigger("submit"));
  };

  const step = (by) => {
    const rank = Math.min(Math.max(self.chosen + by, 1), answers().length);
    answers()[rank - 1].querySelector(".vb-choose").focus();
    if (rank !== self.chosen) choose(rank);
  };

  // The passage: its length; and files dropped on a text box

  // What is counted here stands in place of what the server said, until it says it of the new text; where that is the
  // same, Gradio draws nothing.
  let drawn = "";
  let written = "";
  self.counted = () => {
    const count = find(".vb-count");
    if (count.textContent === written) count.textContent = drawn;
  };
  self.count = (element, trigger) => {
    let timer;
    const length = (text) => text.length - (text.match(/[\ud800-\udbff][\udc00-\udfff]/g) ?? []).length;
    document.addEventListener("input", (event) => {
      if (event.target !== passage()) return;
      const characters = length(event.target.value);
      const count = element.querySelector(".vb-count");
      if (count.textContent !== written) drawn = count.textContent;
      written = `${characters.toLocaleString("en")} ${characters === 1 ? "character" : "characters"}`;
      count.textContent = written;
      clearTimeout(timer);
      const pause = Math.min(COUNT_AFTER + characters / 300, COUNT_LONG_AFTER);
      timer = setTimeout(() => trigger("input"), pause);
    });
  };

  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  const boxBelow = (event) => event.target.closest?.(".vb-text");
  const markDrop = (box) => {
    for (const each of document.querySelectorAll(".vb-text")) each.classList.toggle("vb-drop", each === box);
  };

  document.addEventListener("dragover", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault(); // elsewhere the browser would leave the page for the file
    markDrop(boxBelow(event));
  });
  document.addEventListener("dragleave", () => markDrop());
  document.addEventListener("drop", (event) => {
    markDrop();
    if (!carriesFile(event)) return;
    event.preventDefault();
    const input = boxBelow(event)?.querySelector("input[type=file]");
    if (!input) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // The model and the number of answers. Gradio says that they were set whenever they are left, too: only what changed
  // since they were entered adds to the times that was asked. Of two events at once the second knows no more than the
  // first did.

  let settings;
  let mostAsks = 0;
  const setTo = {}; // what the visitor or a link has set, as a link has it
  self.enter = (...values) => { settings = String(values); };
  self.asks = (asks, model, answers) => {
    if (String([model, answers]) !== settings) mostAsks = asks + 1;
    self.enter(model, answers);
    Object.assign(setTo, { model, answers });
    return Math.max(asks, mostAsks);
  };

  // After a file was opened: on to the question, unless there is something wrong to be heard.
  self.focusQuestion = () => { if (!find("#vb-asking .vb-error")) question().focus(); };

  // Links

  self.show = () => document.documentElement.classList.remove("vb-linked");

  const copyLink = async (button) => {
    const text = find("#vb-marked .vb-passage").textContent; // the one that the answers are from
    const short = text.length <= LONGEST_LINKED;
    const asked = button.dataset.link + (short ? `&passage=${encodeURIComponent(text)}` : "");
    const says = short ? "Link copied" : "Link copied, without the passage: it is too long for a link";
    await copy(button, `${location.href.split("#")[0]}#${asked}`, says);
  };

  // Leaving the ask page, for another one or because Gradio loads it anew when it finds its server again: what is on
  // it is asked again when it comes back in the same tab, unless it comes with another link.

  const LEFT = "verbatim";

  addEventListener("pagehide", () => {
    if (!question() || !passage().value.trim()) return; // another page, or nothing to come back to
    const asks = new URLSearchParams(find("#vb-ranked [data-link]")?.dataset.link);
    if (question().value.trim()) asks.set("question", question().value);
    asks.set("passage", passage().value);
    for (const [name, value] of Object.entries(setTo)) asks.set(name, value);
    kept(() => sessionStorage.setItem(LEFT, JSON.stringify({ hash: location.hash, asks: `#${asks}` })));
  });

  const left = kept(() => JSON.parse(sessionStorage.getItem(LEFT)));
  const back = left?.hash === location.hash;

  // Whoever follows a link or comes back waits for what is asked then, not for the example that the page comes with.
  if (back || /[#&](question|passage)=/.test(location.hash)) {
    document.documentElement.classList.add("vb-linked");
  }

  const followed = (fragment) => {
    const asks = new URLSearchParams(fragment.slice(1));
    for (const name of ["model", "answers"]) if (asks.get(name)) setTo[name] = asks.get(name);
    return fragment;
  };

  // Return what to ask, as a link has it behind "#": on arrival, and when the page that is open follows another one.
  self.arrive = () => {
    kept(() => sessionStorage.removeItem(LEFT));
    return followed(back ? left.asks : location.hash);
  };
  self.follow = () => followed(location.hash);

  // Keys, and buttons that copy, on every page

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.(".vb-copy");
    if (button?.dataset.link) await copyLink(button);
    else if (button) await copy(button, button.dataset.copy);
    else if (event.target.closest?.(".vb-help")) find(".vb-shortcuts").showModal();
    else if (event.target.closest?.("#vb-stop:focus-within, #vb-stop:focus")) find("#vb-ask").focus(); // it will be gone
    else if (event.target.closest?.("#vb-closer [role=tab]")) setTimeout(showMark);
  });

  const typing = (target) => target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");

  const KEYS = {
    "/": () => question()?.focus(),
    "?": () => find(".vb-shortcuts")?.showModal(),
  };

  // These two can be turned off: to whoever dictates, single characters come unasked (WCAG 2.1.4).
  const KEYS_OFF = "verbatim-keys-off";
  let keysOff = kept(() => localStorage.getItem(KEYS_OFF)) !== null;
  const useKeys = (use) => {
    keysOff = !use;
    kept(() => (use ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "")));
  };

  // Before the list sees the key that closes it.
  let listOpen = false;
  document.addEventListener("keydown", (event) => {
    listOpen = event.target.matches?.("[role=combobox][aria-expanded=true]") ?? false;
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || find("dialog[open]")) return;
    if (event.isComposing) return; // the key is one for the input method
    const { key, target } = event;
    const list = target.closest?.("#vb-ranked .vb-answers");
    const vertical = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (key === "Escape" && !listOpen) find("#vb-stop")?.click();
    else if (vertical && list) step(vertical);
    else if (key === "c" && list) list.querySelector("[aria-current] ~ .vb-copy")?.click();
    else if (key === "ArrowDown" && target === question() && answers().length) step(0);
    else if (KEYS[key] && !keysOff && !typing(target)) KEYS[key]();
    else return;
    if (key !== "Escape") event.preventDefault();
  });

  // The models page. A button that goes takes the keyboard's place with it. It goes on to the last one in the row: the
  // one that does the least harm when Enter is pressed twice.
  self.models = () => {
    let row = null;
    const note = (event) => { row = event.target.closest("button")?.closest(".vb-model") ?? null; };
    document.addEventListener("pointerdown", note);
    document.addEventListener("focusin", note);
    new MutationObserver(() => {
      if (row && document.activeElement === document.body) [...row.querySelectorAll("button")].at(-1)?.focus();
    }).observe(document.body, { childList: true, subtree: true });
  };

  // The page of many questions. Of Gradio's table, the box that filters has a title but no name, and the menus that
  // sort are neither reached nor entered with the keyboard.
  self.many = () => {
    let opener = null;
    new MutationObserver(() => {
      find("#vb-table .search-input:not([aria-label])")?.setAttribute("aria-label", "Filter the answers");
      for (const button of document.querySelectorAll('#vb-table th .cell-menu-button[tabindex="-1"]')) {
        button.tabIndex = 0;
        button.ariaLabel = `Sort or filter ${button.closest("th").title}`;
      }
      const menu = find(".cell-menu");
      if (menu && document.activeElement.matches("#vb-table .cell-menu-button")) {
        opener = document.activeElement;
        menu.querySelector("[role=menuitem]").focus();
      } else if (!menu && document.activeElement === document.body) {
        opener?.focus();
        opener = null;
      }
    }).observe(document.body, { childList: true, subtree: true });
  };

  // Gives a text to whoever asked for it as a file.
  self.save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  self.masthead = (element) => {
    const here = element.querySelector("[aria-current]").textContent;
    if (here !== "Ask") document.title = `${here} · Verbatim`;
    const box = element.querySelector("#vb-single-keys");
    box.checked = !keysOff;
    box.addEventListener("change", () => useKeys(box.checked));
  };

  return self;
})();
