// Elements are built, never parsed: text from outside enters the page as text and in no other way.

/** An element with classes, attributes and children; strings become text nodes, empty children nothing. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  bell: ["M12 3a6 6 0 0 0-6 6v4.2L4.4 16a1 1 0 0 0 .9 1.5h13.4a1 1 0 0 0 .9-1.5L18 13.2V9a6 6 0 0 0-6-6z", "M9.5 19.5a2.5 2.5 0 0 0 5 0z"],
  silent: [
    "M12 3a6 6 0 0 0-6 6v4.2L4.4 16a1 1 0 0 0 .9 1.5h13.4a1 1 0 0 0 .9-1.5L18 13.2V9a6 6 0 0 0-6-6z",
    "M9.5 19.5a2.5 2.5 0 0 0 5 0z",
  ],
  pin: ["M14.500 3 21 9.500l-1.800 1-3 3 .3 3.700-1.600 1.600-4-4L5.500 20 4 20l0-1.500 5.200-5.400-4-4 1.600-1.600 3.700.3 3-3z"],
  hash: ["M9.6 3.5 8.9 8H4.5v2h4.1l-.6 4H3.5v2h4.2l-.7 4.5h2l.7-4.5h4l-.7 4.5h2l.7-4.5h4.3v-2h-4l.6-4h4.4V8h-4.1l.7-4.5h-2L14.900 8h-4l.7-4.5zM10.600 10h4l-.6 4h-4z"],
  thread: ["M5 3h2v9a3 3 0 0 0 3 3h6.200l-2.600-2.600 1.400-1.400 5 5-5 5-1.400-1.400 2.600-2.600H10a5 5 0 0 1-5-5z"],
  out: ["M13 4h7v7h-2V7.400l-7.300 7.300-1.400-1.400L16.600 6H13z", "M5 6h5v2H6v10h10v-4h2v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1z"],
  check: ["M10 16.400 5.600 12l-1.400 1.400 5.800 5.800L20.800 8.400 19.400 7z"],
};

/** One of the few icons, drawn here so that nothing is fetched from elsewhere. */
export function icon(name, label = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    path.setAttribute("fill-rule", "evenodd");
    svg.append(path);
  }
  if (name === "silent") {
    for (const [width, cls] of [[5, "cut"], [2, "stroke"]]) {
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("d", "M4 3.500 20 20.500");
      line.setAttribute("class", cls);
      line.setAttribute("stroke-width", String(width));
      svg.append(line);
    }
  }
  return svg;
}

/** The face of a webhook: always the same colour for the same webhook. */
export function avatar(name, id) {
  const shade = [...String(id)].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 6, 0);
  return el("div", { class: `avatar shade-${shade}`, "aria-hidden": "true" }, [...(name || "?")][0].toUpperCase());
}

/** Only these leave the page. */
export function safe(url) {
  return typeof url === "string" && /^https?:\/\/[^\s]+$/i.test(url) ? url : null;
}
