// Discord's Markdown as DOM nodes. What is not understood stays the text it was.

import { el, safe } from "./dom.js";

const JUMP = /^https:\/\/(?:ptb\.|canary\.)?discord(?:app)?\.com\/channels\/(\d+|@me)\/(\d+)(?:\/(\d+))?$/;
const PUNCTUATION = /^[!-/:-@[-`{-~]/;

/** All of it: blocks and inline, as in content, description and field values. `names` holds roles, users, channels. */
export function markdown(text, names) {
  const out = document.createDocumentFragment();
  out.append(...blocks(String(text ?? ""), { names, links: true, times: true }));
  return out;
}

/** Emphasis and code only, as in titles and field names. */
export function plainish(text, names) {
  const out = document.createDocumentFragment();
  out.append(...inline(String(text ?? ""), { names, links: false, times: false }));
  return out;
}

// ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function blocks(text, mode) {
  const out = [];
  let rest = text;
  while (rest) {
    const fence = /```(?:([a-z0-9_+.#-]+)\n)?\n?([\s\S]*?)\n?```/i.exec(rest);
    const before = fence ? rest.slice(0, fence.index) : rest;
    if (before) out.push(...lines(fence ? before.replace(/\n$/, "") : before, mode));
    if (!fence) break;
    out.push(el("pre", { class: "fence" }, el("code", {}, fence[2])));
    rest = rest.slice(fence.index + fence[0].length).replace(/^\n/, "");
  }
  return out;
}

function lines(text, mode) {
  const out = [];
  const all = text.split("\n");
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) out.push(el("div", { class: "text" }, inline(paragraph.join("\n"), mode)));
    paragraph = [];
  };
  for (let at = 0; at < all.length; at += 1) {
    const line = all[at];
    let found;
    if ((found = /^(#{1,3}) +(\S.*)$/.exec(line))) {
      flush();
      out.push(el(`h${found[1].length + 2}`, { class: `heading-${found[1].length}` }, inline(found[2], mode)));
    } else if ((found = /^-# +(\S.*)$/.exec(line))) {
      flush();
      out.push(el("small", { class: "small-print" }, inline(found[1], mode)));
    } else if ((found = /^>>> ([\s\S]+)$/.exec(line))) {
      flush();
      out.push(el("blockquote", {}, lines([found[1], ...all.slice(at + 1)].join("\n"), mode)));
      return out;
    } else if (/^> ?/.test(line) && line !== ">") {
      flush();
      const quoted = [];
      while (at < all.length && /^> /.test(all[at])) quoted.push(all[at++].slice(2));
      if (!quoted.length) paragraph.push(line);
      else {
        at -= 1;
        out.push(el("blockquote", {}, lines(quoted.join("\n"), mode)));
      }
    } else if (/^ *(?:[-*]|\d{1,3}\.) +\S/.test(line)) {
      flush();
      const items = [];
      while (at < all.length && /^ *(?:[-*]|\d{1,3}\.) +\S/.test(all[at])) items.push(all[at++]);
      at -= 1;
      out.push(list(items, mode));
    } else paragraph.push(line);
  }
  flush();
  return out;
}

function list(items, mode) {
  const first = /^ *(?:([-*])|(\d{1,3})\.)/.exec(items[0]);
  const node = first[1] ? el("ul") : el("ol", { start: first[2] });
  for (const item of items) {
    const [, indent, body] = /^( *)(?:[-*]|\d{1,3}\.) +(.*)$/.exec(item);
    node.append(el("li", { class: indent.length >= 2 ? "nested" : null }, inline(body, mode)));
  }
  return node;
}

// ── inline ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const RULES = [
  [/^\\([!-/:-@[-`{-~])/, (m) => m[1]],
  [/^(`+)(?!`)([\s\S]*?[^`])\1(?!`)/, (m) => el("code", { class: "code" }, m[2].replace(/^ (?=`)|(?<=`) $/g, ""))],
  [/^\*\*\*(?=\S)([\s\S]*?\S)\*\*\*(?!\*)/, (m, mode) => el("strong", {}, el("em", {}, inline(m[1], mode)))],
  [/^\*\*(?=\S)([\s\S]+?)\*\*(?!\*)/, (m, mode) => el("strong", {}, inline(m[1], mode))],
  [/^__([\s\S]+?)__(?!_)/, (m, mode) => el("u", {}, inline(m[1], mode))],
  [/^~~([\s\S]+?)~~/, (m, mode) => el("s", {}, inline(m[1], mode))],
  [/^\*(?=\S)((?:\*\*|[^*])+?)\*(?!\*)/, (m, mode) => el("em", {}, inline(m[1], mode))],
  [/^_(?=\S)((?:__|[^_])+?)_(?![\w_])/, (m, mode) => el("em", {}, inline(m[1], mode))],
  [/^\|\|([\s\S]+?)\|\|/, (m, mode) => el("span", { class: "spoiler" }, inline(m[1], mode))],
  [/^<t:(-?\d{1,13})(?::([tTdDfFRsS]))?>/, (m, mode) => (mode.times ? time(Number(m[1]), m[2] ?? "f") : null)],
  [/^<@&(\d+)>/, (m, mode) => pill("role", `@${mode.names.roles[m[1]] ?? "unknown-role"}`)],
  [/^<@!?(\d+)>/, (m, mode) => pill("user", `@${mode.names.users[m[1]] ?? "unknown-user"}`)],
  [/^<#(\d+)>/, (m, mode) => pill("channel", `#${mode.names.channels[m[1]] ?? "unknown"}`)],
  [/^@(?:everyone|here)\b/, (m) => pill("everyone", m[0])],
  [/^\[((?:\\.|[^\]\\])+)\]\(<?(https?:\/\/[^\s)>]+(?:\([^\s)>]*\)[^\s)>]*)*)>?(?: +"([^"]*)")?\)/, masked],
  [/^<(https?:\/\/[^\s<>]+)>/, (m, mode) => (mode.links ? link(m[1], [m[1]], mode) : null)],
  [/^https?:\/\/[^\s<>]*[^\s<>.,:;"'\])]/, (m, mode) => (mode.links ? link(m[0], [m[0]], mode) : null)],
];

function inline(text, mode) {
  const out = [];
  let plain = "";
  let rest = text;
  let previous = "";
  while (rest) {
    const [node, taken] = first(rest, mode, previous);
    if (taken) {
      if (typeof node === "string") plain += node;
      else {
        if (plain) out.push(...withBreaks(plain));
        plain = "";
        out.push(node);
      }
      previous = rest[taken - 1];
      rest = rest.slice(taken);
    } else {
      const step = /^[A-Za-z0-9\s]+(?=[^A-Za-z0-9])/.exec(rest)?.[0].replace(/https?$/i, "") || [...rest][0];
      plain += step;
      previous = step.at(-1);
      rest = rest.slice(step.length);
    }
  }
  if (plain) out.push(...withBreaks(plain));
  return out;
}

function first(rest, mode, previous) {
  if (!PUNCTUATION.test(rest) && !/^https?:/i.test(rest)) return [null, 0];
  if (rest[0] === "_" && /\w/.test(previous)) return [null, 0];
  for (const [pattern, make] of RULES) {
    const found = pattern.exec(rest);
    const node = found && make(found, mode);
    if (node !== null && node !== undefined) return [node, found[0].length];
  }
  return [null, 0];
}

function withBreaks(text) {
  return text.split("\n").flatMap((line, at) => (at ? [el("br"), line] : [line])).filter((piece) => piece !== "");
}

function masked(found, mode) {
  if (!mode.links || /https?:\/\//i.test(found[1])) return null;
  return link(found[2], inline(found[1], { ...mode, links: false }), mode, found[3]);
}

function link(url, children, mode, title) {
  const jump = JUMP.exec(url);
  if (jump) {
    const place = mode.names.channels[jump[2]];
    const bare = children.length === 1 && children[0] === url;
    const text = bare ? [`# ${place ?? "unknown"}${jump[3] ? " › 💬" : ""}`] : children;
    return el("a", { class: bare ? "pill channel jump" : "jump", href: `/channels/${jump[2]}${jump[3] ? `#m-${jump[3]}` : ""}` }, text);
  }
  return el("a", { href: safe(url), title: title ?? url, target: "_blank", rel: "noopener noreferrer nofollow" }, children);
}

function pill(kind, text) {
  return el("span", { class: `pill ${kind}` }, text);
}

// ── times ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
  s: { dateStyle: "short", timeStyle: "short" },
  S: { dateStyle: "short", timeStyle: "medium" },
};
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

let ahead = 0;

/** Tell by how many seconds the stand-in's clock is ahead of the browser's. */
export function setClock(now) {
  ahead = now - Date.now() / 1000;
}

/** An instant in words, in one of Discord's styles. */
export function inWords(unix, style) {
  if (style !== "R") return new Intl.DateTimeFormat("en-GB", STYLES[style]).format(unix * 1000);
  const seconds = unix - (Date.now() / 1000 + ahead);
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  return RELATIVE.format(Math.round(seconds / size), unit);
}

function time(unix, style) {
  if (Math.abs(unix) > 8.64e12) return null;
  return el("time", { class: "stamp", data: { unix: String(unix), style }, title: inWords(unix, "F") }, inWords(unix, style));
}

/** Let every relative time on the page grow older. */
export function age(root) {
  for (const node of root.querySelectorAll('time[data-style="R"]')) {
    const words = inWords(Number(node.dataset.unix), "R");
    if (node.textContent !== words) node.textContent = words;
  }
}

/** A text as a lock screen shows it: mentions by name, everything else as it was typed. */
export function onLockScreen(text, names) {
  return String(text ?? "")
    .replace(/<@&(\d+)>/g, (_, id) => `@${names.roles[id] ?? "unknown-role"}`)
    .replace(/<@!?(\d+)>/g, (_, id) => `@${names.users[id] ?? "unknown-user"}`)
    .replace(/<#(\d+)>/g, (_, id) => `#${names.channels[id] ?? "unknown"}`);
}
