// Runs once, when the table of models is first drawn.
document.title = "Models · Verbatim";
// A button that goes takes the keyboard's place with it. It goes on to the last one in the row: the one that does the
// least harm when Enter is pressed twice.
let row = null;
const note = (event) => { row = event.target.closest(".vb-model"); };
document.addEventListener("pointerdown", note);
document.addEventListener("focusin", note);
new MutationObserver(() => {
  if (row && document.activeElement === document.body) [...row.querySelectorAll("button")].at(-1)?.focus();
}).observe(document.body, { childList: true, subtree: true });
