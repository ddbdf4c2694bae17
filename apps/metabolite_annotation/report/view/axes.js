// Axes of charts, drawn in pixels of the page so that words keep their size.
// Public: getTicks, drawAxes, makeScale, watchWidth.

// Return round numbers within two, about so many.
function getTicks(low, high, about) {
  const rough = (high - low) / about, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(k => k * power).find(size => size >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const n = Math.floor(high / step + 1e-9) - first + 1;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({length: n}, (_, k) => Number(((first + k) * step).toFixed(digits)));
}

// Return the function from values to pixels, and back as its `invert`.
function makeScale(low, high, from, to) {
  const slope = (to - from) / (high - low || 1);
  return Object.assign(value => from + slope * (value - low),
    {invert: place => low + (place - from) / slope});
}

// An axis is {low, high, name, write, about}; a frame {left, right, top, bottom}.
function drawAxes(frame, x, y) {
  return [...drawLeftAxis(frame, y), ...drawBottomAxis(frame, x),
    draw("line", {class: "axis", x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom}),
    draw("text", {class: "middle", x: (frame.left + frame.right) / 2, y: frame.bottom + 38}, x.name),
    draw("text", {class: "middle", transform: `translate(14 ${(frame.top + frame.bottom) / 2}) `
      + "rotate(-90)"}, y.name)];
}

function drawLeftAxis({left, right, top, bottom}, {low, high, write, about = 5}) {
  const place = makeScale(low, high, bottom, top);
  return getTicks(low, high, about).flatMap(tick => [
    draw("line", {class: tick ? "grid" : "marked", x1: left, x2: right, y1: place(tick), y2: place(tick)}),
    draw("text", {class: "end soft", x: left - 8, y: place(tick) + 4}, write(tick))]);
}

function drawBottomAxis({left, right, bottom}, {low, high, write, about}) {
  const place = makeScale(low, high, left, right);
  return getTicks(low, high, about ?? Math.max(3, Math.floor((right - left) / 70)))
    .flatMap(tick => [
      draw("line", {class: "axis", x1: place(tick), x2: place(tick), y1: bottom, y2: bottom + 5}),
      draw("text", {class: "middle soft", x: place(tick), y: bottom + 20}, write(tick))]);
}

// Call `show` with the width of an element now and whenever that is another; returns what asks
// for another drawing: before the next frame, once, and out of sight not before it is in sight.
function watchWidth(element, show) {
  const known = {isAsked: false, isSeen: false, isStale: true};
  const drawNow = () => {
    known.isAsked = false;
    if (!known.isSeen || !element.clientWidth) return;
    known.isStale = false;
    show(element.clientWidth);
  };
  const ask = () => {
    known.isStale = true;
    if (!known.isAsked) requestAnimationFrame(drawNow);
    known.isAsked = true;
  };
  new ResizeObserver(ask).observe(element);
  new IntersectionObserver(([{isIntersecting}]) => {
    known.isSeen = isIntersecting;
    if (isIntersecting && known.isStale) ask();
  }, {rootMargin: "300px"}).observe(element);
  return ask;
}
