// A lock screen: what a person sees at three in the morning, newest first, two lines each, and nothing they were not rung for.

import { el, icon } from "./dom.js";
import { inWords, onLockScreen } from "./markdown.js";

/** The view behind `?phone=1`. */
export function phone() {
  const clock = el("time", { class: "lock-time" });
  const date = el("div", { class: "lock-date" });
  const stack = el("ol", { class: "notices", "aria-label": "Notifications" });
  const badge = el("p", { class: "lock-badge" });
  const root = el("div", { class: "lock" }, el("div", { class: "lock-screen" },
    el("header", {}, date, clock), stack, badge, el("a", { class: "lock-open", href: "/" }, "open the channel")));
  document.title = "Lock screen · Discord stand-in";
  let ahead = 0;
  const tick = () => {
    const now = Date.now() / 1000 + ahead;
    clock.textContent = inWords(now, "t");
    date.textContent = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" }).format(now * 1000);
    for (const node of stack.querySelectorAll("time")) node.textContent = ago(now - Number(node.dataset.unix));
  };
  setInterval(tick, 1000);

  function show(state) {
    ahead = state.now - Date.now() / 1000;
    const loud = state.rung.filter((one) => !one.silent);
    const silent = state.rung.length - loud.length;
    stack.replaceChildren(...loud.toReversed().map((one) => notice(one, state.names)));
    badge.textContent = silent ? `${silent} more without a sound` : loud.length ? "" : "No notifications";
    tick();
  }

  return { root, show };
}

function notice(one, names) {
  const text = onLockScreen(one.text, names);
  return el("li", { class: `notice${one.mentions ? " paged" : ""}`, data: { noticeFor: one.id } },
    el("a", { href: `/channels/${one.channel}#m-${one.id}` }, el("span", { class: "notice-app" }, mark()),
      el("div", { class: "notice-body" },
        el("div", { class: "notice-head" }, el("span", {}, "Discord"), el("time", { data: { unix: String(one.time) } })),
        el("strong", { class: "notice-title" }, `${one.author} (#${one.channel_name})`),
        el("div", { class: "notice-text" }, text || "Sent an embed"))));
}

function mark() {
  return el("span", { class: "app-mark", title: "Discord" }, icon("bell"));
}

function ago(seconds) {
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)}h ago` : `${Math.floor(seconds / 86400)}d ago`;
}
