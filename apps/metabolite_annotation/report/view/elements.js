// Elements of the page, and numbers as text.

const find = name => document.getElementById(name);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const fixed = digits => value => value === null ? "–" : value.toFixed(digits);
const signed = digits => value => {
  if (value === null) return "–";
  const size = Math.abs(value).toFixed(digits);
  return (Number(size) === 0 ? "" : value < 0 ? "−" : "+") + size;
};
const milli = value => value === null ? "–" : `${signed(2)(1000 * value)} mDa`;
const percent = value => value === null ? "–" : `${+(100 * value).toPrecision(2)} %`;
const short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});
const amount = value => value === null ? "–" : short.format(value);
