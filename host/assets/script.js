// The dashboard's only script. Every page works without it; with it, pages are live.
"use strict";

(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Times: relative ones count on, exact ones are shown in the reader's own time zone.
  const ago = (ms) => {
    const past = ms >= 0;
    const s = Math.floor(Math.abs(ms) / 1000);
    if (past && s < 5) return "just now";
    const text = s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 86400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
    return past ? `${text} ago` : `in ${text}`;
  };
  const tellTimes = () => {
    for (const time of all("time[data-relative]")) {
      const text = ago(Date.now() - Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tellTimes, 5000);

  // Dialogs. Where there is no script, the link's address opens them.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (opener) {
      event.preventDefault();
      document.getElementById(opener.dataset.dialog)?.showModal();
    }
    const closer = event.target.closest("[data-close]");
    if (closer) {
      event.preventDefault();
      closer.closest("dialog").close();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target.matches("a[role=button]")) {
      event.preventDefault();
      event.target.click();
    }
  });

  // Copying.
  for (const button of all("[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  // Forms: fields that belong to one choice, values that hide, groups that grow.
  for (const select of all("[data-shows]")) {
    const show = () => {
      for (const part of all(`[data-shown-by="${select.dataset.shows}"]`)) part.hidden = !part.dataset.shownFor.split(" ").includes(select.value);
    };
    select.addEventListener("change", show);
    show();
  }
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-hides]")) return;
    const value = event.target.closest(".row-fields").querySelector("[name$='.value']");
    value.type = event.target.checked ? "password" : "text";
  });
  for (const rows of all("[data-rows]")) {
    const add = document.createElement("button");
    add.type = "button";
    add.className = "button quiet small add-row";
    add.textContent = "Add another";
    add.addEventListener("click", () => {
      const count = rows.children.length;
      const row = rows.lastElementChild.cloneNode(true);
      for (const input of all("input", row)) {
        input.name = input.name.replace(/\.\d+\./, `.${count}.`);
        input.setAttribute("aria-label", (input.getAttribute("aria-label") ?? "").replace(/\d+$/, String(count + 1)));
        if (input.type === "checkbox") input.checked = false;
        else input.value = input.name.endsWith(".address") ? input.value : "";
      }
      rows.append(row);
      row.querySelector("input").focus();
    });
    rows.after(add);
  }
  for (const form of all("form[method=post]")) {
    form.addEventListener("submit", () => {
      // A second click must not order the same thing twice. The buttons are given back if the page comes back.
      const buttons = all("button[type=submit]", form);
      setTimeout(() => { for (const button of buttons) button.disabled = true; });
      addEventListener("pageshow", () => { for (const button of buttons) button.disabled = false; }, { once: true });
    });
  }

  // A preview follows what is typed. Only the newest answer counts.
  for (const form of all("form[data-preview]")) {
    let timer = 0;
    let newest = null;
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        newest?.abort();
        const asked = newest = new AbortController();
        try {
          const signal = AbortSignal.any([asked.signal, AbortSignal.timeout(10000)]);
          const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)), signal });
          if (!answer.ok || answer.redirected) return;
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          const fresh = page.getElementById("preview");
          if (fresh && newest === asked) document.getElementById("preview").replaceWith(document.adoptNode(fresh));
        } catch {
          // The button asks as well.
        }
      }, 300);
    });
  }

  // Live parts: an event arrives, the part is fetched and put in place of the old one.
  let pages = new Map();
  const load = (url) => {
    if (!pages.has(url)) {
      pages.set(url, fetch(url, { signal: AbortSignal.timeout(10000) }).then(async (answer) => {
        if (!answer.ok || answer.redirected) return null;
        return new DOMParser().parseFromString(await answer.text(), "text/html");
      }).catch(() => null));
    }
    return pages.get(url);
  };
  const refresh = async (part) => {
    const page = await load(part.dataset.live || location.href);
    const fresh = page?.getElementById(part.id);
    // What a person is busy with is not taken away.
    if (!fresh || part.querySelector("dialog[open], input:focus, select:focus, textarea:focus")) return;
    if (fresh.outerHTML === part.outerHTML) return;
    const focus = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    part.replaceWith(document.adoptNode(fresh));
    if (focus) all("a", fresh).find((link) => link.getAttribute("href") === focus)?.focus();
    tellTimes();
  };
  // One round after the other: what happens during a round is only seen by the next.
  let planned = false;
  let round = Promise.resolve();
  const refreshSoon = () => {
    if (planned) return;
    planned = true;
    round = round.then(async () => {
      await new Promise((wake) => { setTimeout(wake, 150); });
      planned = false;
      pages = new Map();
      await Promise.allSettled(all("[data-live]").map(refresh));
    });
  };
  const feed = document.body.dataset.events;
  if (feed && all("[data-live]").length > 0) {
    const source = new EventSource(feed);
    for (const kind of ["stack.changed", "build.status", "deployment.status", "deployment.step", "webhook.processed", "plugin.changed", "provider.changed", "ci_build.status", "ci_build.moved"]) {
      source.addEventListener(kind, refreshSoon);
    }
    // After a lost connection something may have been missed.
    let lost = false;
    source.addEventListener("error", () => { lost = true; });
    source.addEventListener("open", () => { if (lost) refreshSoon(); lost = false; });
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
    // Bars and durations of what runs move on without events.
    setInterval(() => { if (document.querySelector("#live[data-running]")) refreshSoon(); }, 1000);
  }

  // The log: from where the page's own text ends. Read with fetch, because an EventSource cannot begin in the middle.
  const log = document.querySelector("#log[data-running]");
  if (!log) return;
  const MAX_LINES = 5000;
  const state = document.getElementById("log-state");
  const follow = document.getElementById("follow");
  document.getElementById("follow-box").hidden = false;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  follow.addEventListener("change", () => { if (follow.checked) toEnd(); });
  log.addEventListener("scroll", () => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
    if (!atEnd && follow.checked && log.matches(":hover, :focus")) follow.checked = false;
  });
  if (follow.checked) toEnd();

  // As the server does it for what is in the page already; the text is only ever set as text.
  const nearest = (...rgb) => {
    const most = Math.max(...rgb);
    const least = Math.min(...rgb);
    if (most - least < 48) return most < 160 ? 0 : 7;
    return rgb.reduce((bits, part, at) => bits | (part > (most + least) / 2 ? 1 << at : 0), 0);
  };
  const extended = (codes) => {
    const kind = codes.shift();
    if (kind === 2) return nearest(...codes.splice(0, 3));
    if (kind !== 5) return null;
    const colour = codes.shift() ?? 0;
    if (colour < 16) return colour % 8;
    if (colour > 231) return nearest(8 + (colour - 232) * 10, 8 + (colour - 232) * 10, 8 + (colour - 232) * 10);
    const cube = colour - 16;
    return nearest(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51);
  };
  const restyle = (style, codes) => {
    const words = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse" };
    while (codes.length > 0) {
      const code = codes.shift();
      if (code === 0) for (const key of Object.keys(style)) delete style[key];
      else if (words[code]) style[words[code]] = true;
      else if (code === 22) { delete style.bold; delete style.dim; }
      else if (words[code - 20]) delete style[words[code - 20]];
      else if (code === 38) style.text = extended(codes) ?? style.text;
      else if (code === 48) style.back = extended(codes) ?? style.back;
      else if (code === 39) delete style.text;
      else if (code === 49) delete style.back;
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) style.text = code % 10;
      else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) style.back = code % 10;
    }
  };
  const classes = (style) => {
    const [text, back] = style.inverse ? [style.back, style.text] : [style.text, style.back];
    const names = ["bold", "dim", "italic", "underline"].filter((name) => style[name]).map((name) => `ansi-${name}`);
    if (back !== undefined) names.unshift(`ansi-bg-${back}`);
    if (text !== undefined) names.unshift(`ansi-${text}`);
    if (style.inverse && text === undefined && back === undefined) names.push("ansi-inverse");
    return names.join(" ");
  };
  const afterSequence = (style, piece) => {
    if (piece.startsWith("[")) {
      const end = piece.slice(1).search(/[@-~]/) + 1;
      if (end < 1) return "";
      if (piece[end] === "m") restyle(style, piece.slice(1, end).split(/[;:]/).map((code) => Number(code) || 0));
      return piece.slice(end + 1);
    }
    if (piece.startsWith("]")) {
      const end = piece.indexOf("\ufffd");
      return end < 0 ? "" : piece.slice(end + 1);
    }
    if (/^[()]/.test(piece)) return piece.slice(2);
    return /^[0-~]/.test(piece) ? piece.slice(1) : piece;
  };
  const colours = (text, line) => {
    const style = {};
    for (const [index, piece] of text.split("\u001b").entries()) {
      const rest = index === 0 ? piece : afterSequence(style, piece);
      if (!rest) continue;
      const span = document.createElement("span");
      span.className = classes(style);
      span.textContent = rest;
      line.append(span);
    }
  };
  const append = (texts) => {
    const block = document.createDocumentFragment();
    for (const text of texts) {
      const line = document.createElement("span");
      line.className = "line";
      const at = /^\d\d:\d\d:\d\d\.\d{3} /.exec(text);
      if (at) {
        const time = document.createElement("span");
        time.className = "at";
        time.textContent = at[0].trim();
        line.append(time, " ");
      }
      colours(at ? text.slice(at[0].length) : text, line);
      line.append("\n");
      block.append(line);
    }
    log.append(block);
    while (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
    if (follow.checked) toEnd();
  };

  let position = log.dataset.position;
  // One answer of the stream, until it ends; true when the log is complete.
  const read = async () => {
    const answer = await fetch(log.dataset.log, { headers: { Accept: "text/event-stream", "Last-Event-ID": position } });
    if (!answer.ok) throw new Error(String(answer.status));
    state.textContent = "";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return false;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      const texts = [];
      let ended = false;
      for (const block of blocks) {
        let kind = "message";
        const data = [];
        for (const row of block.split("\n")) {
          const cut = row.indexOf(":");
          if (cut < 1) continue;
          const field = row.slice(0, cut);
          const text = row.slice(cut + 1).replace(/^ /, "");
          if (field === "id") position = text;
          else if (field === "event") kind = text;
          else if (field === "data") data.push(text);
        }
        if (kind === "message" && data.length > 0) texts.push(data.join("\n"));
        if (kind === "end") ended = true;
      }
      if (texts.length > 0) append(texts);
      if (ended) return true;
    }
  };
  const stream = async () => {
    for (let wait = 500; ; wait = Math.min(wait * 2, 10000)) {
      const before = position;
      try {
        if (await read()) {
          refreshSoon();
          return;
        }
      } catch {
        state.textContent = "Connection lost, trying again…";
      }
      if (position !== before) wait = 500;
      await new Promise((wake) => { setTimeout(wake, wait); });
    }
  };
  stream();
})();
