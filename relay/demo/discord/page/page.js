// The page is a function of state.json: it asks twice a second whether that changed, and redraws only the messages that did.

import { avatar, el, icon, safe } from "./dom.js";
import { age, inWords, markdown, onLockScreen, plainish, setClock } from "./markdown.js";
import { phone } from "./phone.js";

const POLL = 500;
const TOGETHER = 7 * 60;
const query = new URLSearchParams(location.search);
const wanted = /^\/channels\/(\d+)$/.exec(location.pathname)?.[1] ?? query.get("channel") ?? "";
const drawn = new Map();
let since = "";

const view = query.get("phone") === "1" ? phone() : channel();
document.body.append(view.root);
poll();
setInterval(() => age(document), 1000);

async function poll() {
  try {
    const answer = await fetch(`/_/state.json?channel=${wanted}&since=${since}`, { cache: "no-store" });
    if (answer.status === 200) {
      const state = await answer.json();
      state.names = {
        roles: state.roles,
        users: state.users,
        channels: Object.fromEntries(state.channels.map((one) => [one.id, one.name])),
      };
      setClock(state.now);
      view.show(state);
      since = state.change;
      document.body.dataset.change = state.change;
    }
    document.body.classList.remove("away");
  } catch {
    document.body.classList.add("away");
  }
  setTimeout(poll, POLL);
}

// ── the channel ─────────────────────────────────────────────────────────────────────────────────────────────────────

function channel() {
  const list = el("nav", { class: "channels", "aria-label": "Channels" });
  const name = el("h1", { class: "channel-name" });
  const count = el("span", { class: "rung-count" });
  const bell = el("button", { class: "toggle", type: "button", "aria-expanded": "false", title: "What phones heard", onclick: toggle }, icon("bell", "What phones heard"), count);
  const feed = el("ol", { class: "feed", "aria-live": "polite" });
  const pins = el("div", { class: "pins" });
  const scroller = el("main", { class: "scroller" }, feed);
  const rung = el("ol", { class: "rung" });
  const aside = el("aside", { class: "sounds", "aria-label": "What phones heard" },
    el("header", {}, el("h2", {}, "What phones heard"), el("a", { href: "/?phone=1" }, "lock screen")), rung);
  const header = el("header", { class: "bar" }, icon("hash"), name, el("span", { class: "tag" }, "stand-in"), el("span", { class: "lost" }, "connection lost"), bell);
  const root = el("div", { class: "app" },
    el("section", { class: "side" }, el("header", { class: "server" }, "Stand-in"), list),
    el("section", { class: "room" }, header, pins, scroller), aside);

  function toggle() {
    bell.setAttribute("aria-expanded", String(root.classList.toggle("with-sounds")));
  }

  function show(state) {
    const here = state.channels.find((one) => one.id === state.channel);
    name.textContent = here?.name ?? "no channel";
    document.title = `#${name.textContent} · Discord stand-in`;
    list.replaceChildren(...state.channels.map((one) => channelLink(one, state.channel)));
    const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
    const first = drawn.size === 0;
    drawFeed(feed, state, here);
    pins.replaceChildren(...state.messages.filter((one) => one.pinned).map((one) => pinLine(one, state)));
    rung.replaceChildren(...state.rung.toReversed().map((one) => rungLine(one, state)));
    const loud = state.rung.filter((one) => !one.silent).length;
    count.textContent = loud ? String(loud) : "";
    if (first && location.hash.startsWith("#m-")) target();
    else if (atEnd) scroller.scrollTop = scroller.scrollHeight;
  }

  return { root, show };
}

// The browser looked for the message of a jump link before it was drawn: let it look again, so that :target finds it.
function target() {
  const { hash } = location;
  location.replace("#");
  location.replace(hash);
  document.getElementById(hash.slice(1))?.scrollIntoView({ block: "center" });
}

function channelLink(one, current) {
  const kind = one.parent ? "thread" : "hash";
  return el("a", { class: `channel-link ${kind}${one.id === current ? " current" : ""}`, href: `/channels/${one.id}`, "aria-current": one.id === current ? "page" : null },
    icon(kind), el("span", {}, one.name));
}

function pinLine(one, state) {
  return el("a", { class: "pin", href: `#m-${one.id}`, title: "pinned" }, icon("pin", "pinned"), el("span", {}, onLockScreen(one.content, state.names)));
}

function drawFeed(feed, state, here) {
  if (!feed.querySelector(".beginning")) feed.append(el("li", { class: "beginning" }));
  feed.querySelector(".beginning").replaceChildren(
    el("div", { class: "beginning-sign" }, icon("hash")), el("h2", {}, `Welcome to #${here?.name ?? "…"}`),
    el("p", {}, state.messages.length ? "This is where the channel begins." : "Nothing was posted yet. Point a webhook here, and it will show."));
  const kept = new Set();
  let before = null;
  let place = feed.firstChild;
  for (const message of state.messages) {
    const follows = before && before.webhook === message.webhook && before.author === message.author
      && message.time - before.time < TOGETHER && day(before.time) === day(message.time);
    const divider = !before || day(before.time) !== day(message.time);
    const key = `${message.number}:${follows}:${divider}`;
    let node = drawn.get(message.id);
    if (node?.dataset.key !== key) {
      const fresh = draw(message, state.names, follows, divider);
      fresh.dataset.key = key;
      if (node) node.replaceWith(fresh);
      node = fresh;
      drawn.set(message.id, node);
    }
    if (place.nextSibling !== node) place.after(node);
    place = node;
    kept.add(message.id);
    before = message;
  }
  for (const [id, node] of drawn) {
    if (!kept.has(id)) {
      node.remove();
      drawn.delete(id);
    }
  }
}

function day(unix) {
  return new Date(unix * 1000).toDateString();
}

// ── one message ─────────────────────────────────────────────────────────────────────────────────────────────────────

function draw(message, names, follows, divider) {
  const head = follows ? null : el("div", { class: "head" },
    el("span", { class: "author" }, message.author), el("span", { class: "app-badge" }, icon("check"), "APP"),
    el("time", { class: "posted", datetime: message.iso }, when(message.time)),
    message.silent ? el("span", { class: "hush", title: "posted without a sound" }, icon("silent", "posted without a sound")) : null);
  const edited = message.edited ? el("span", { class: "edited", title: `${inWords(message.edited, "F")}, ${message.edits} in all` }, "(edited)") : null;
  const content = message.content ? el("div", { class: "content markdown" }, markdown(message.content, names)) : null;
  if (content && edited) (content.lastChild.classList?.contains("text") ? content.lastChild : content).append(" ", edited);
  const body = el("div", { class: "body" }, head, content, message.embeds.map((embed) => drawEmbed(embed, names)),
    message.attachments.map((name) => el("div", { class: "attachment" }, `📎 ${name}`)), message.components.map(drawRow),
    edited && !content ? edited : null);
  const gutter = follows ? el("time", { class: "gutter", datetime: message.iso }, inWords(message.time, "t")) : avatar(message.author, message.webhook);
  return el("li", { class: `message${follows ? " follows" : ""}${message.mentions ? " mentions" : ""}${message.silent ? " silent" : ""}`, id: `m-${message.id}`,
    data: { messageId: message.id, edits: String(message.edits) } },
    divider ? el("div", { class: "divider" }, el("span", {}, inWords(message.time, "D"))) : null, el("article", {}, gutter, body));
}

function when(unix) {
  const midnight = new Date().setHours(0, 0, 0, 0) / 1000;
  if (unix >= midnight && unix < midnight + 86400) return inWords(unix, "t");
  if (unix >= midnight - 86400 && unix < midnight) return `Yesterday at ${inWords(unix, "t")}`;
  return inWords(unix, "s");
}

function drawEmbed(embed, names) {
  const title = embed.title ? plainish(embed.title, names) : null;
  const node = el("div", { class: "embed" }, el("div", { class: "embed-body" },
    embed.author ? el("div", { class: "embed-author" }, linked(embed.author.url, embed.author.name)) : null,
    title ? el("div", { class: "embed-title" }, linked(embed.url, title)) : null,
    embed.description ? el("div", { class: "embed-description markdown" }, markdown(embed.description, names)) : null,
    embed.fields?.length ? el("div", { class: "embed-fields" }, embed.fields.map((field) => drawField(field, names))) : null,
    embed.image ? el("div", { class: "picture" }, "🖼 ", embed.image.description ?? embed.image.url) : null,
    embed.footer || embed.timestamp ? el("div", { class: "embed-footer" },
      [embed.footer?.text, embed.timestamp ? when(Date.parse(embed.timestamp) / 1000) : null].filter(Boolean).join(" • ")) : null));
  if (Number.isInteger(embed.color)) node.style.borderLeftColor = `#${embed.color.toString(16).padStart(6, "0")}`;
  return node;
}

function drawField(field, names) {
  return el("div", { class: field.inline ? "embed-field inline" : "embed-field" },
    el("div", { class: "field-name" }, plainish(field.name, names)), el("div", { class: "field-value markdown" }, markdown(field.value, names)));
}

function linked(url, child) {
  return safe(url) ? el("a", { href: safe(url), target: "_blank", rel: "noopener noreferrer nofollow" }, child) : el("span", {}, child);
}

function drawRow(row) {
  if (row.type === 10) return el("div", { class: "content markdown" }, markdown(row.content, { roles: {}, users: {}, channels: {} }));
  return el("div", { class: "buttons" }, (row.components ?? []).map((one) => one.type === 2
    ? el("a", { class: "button", href: safe(one.url), target: "_blank", rel: "noopener noreferrer nofollow" }, one.emoji?.name ? `${one.emoji.name} ` : "", one.label ?? "", icon("out"))
    : drawRow(one)));
}

// ── what phones heard ───────────────────────────────────────────────────────────────────────────────────────────────

function rungLine(one, state) {
  const text = onLockScreen(one.text, state.names);
  return el("li", { class: `ring${one.silent ? " quiet" : ""}${one.mentions ? " paged" : ""}${one.gone ? " gone" : ""}`, data: { ringFor: one.id } },
    el("a", { href: `/channels/${one.channel}#m-${one.id}` }, icon(one.silent ? "silent" : "bell", one.silent ? "no sound" : "a sound"),
      el("span", { class: "ring-text" }, text || el("i", {}, "nothing to read: only an embed")), el("time", {}, inWords(one.time, "T"))));
}
