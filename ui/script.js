// Runs once, when the marked passage is first drawn; Gradio gives `element` and `watch`.
// Brings the best answer into view inside the passage's own scroll box, so that the page itself never moves.
const showBestAnswer = () => {
  const box = element.querySelector(".vb-passage");
  const mark = element.querySelector('mark[data-rank="1"]');
  if (!box || !mark) return;
  const above = mark.getBoundingClientRect().top - box.getBoundingClientRect().top;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  box.scrollTo({
    top: box.scrollTop + above - box.clientHeight / 3,
    behavior: still ? "instant" : "smooth",
  });
};
showBestAnswer();
watch("value", showBestAnswer);
