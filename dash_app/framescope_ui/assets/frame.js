// The Frame page's own doing in the browser: pinning, the note, Markdown to the clipboard, whom to compare with.
(function () {
  "use strict";
  const BASE = document.documentElement.dataset.base || "";
  const one = (id) => document.getElementById(id);
  let armed = null; // an Unpin that would delete a note asks once

  function say(id, text) {
    const at = one(id);
    if (at) at.textContent = text;
  }

  // The page is drawn on the server: after a change it is asked for anew, and keeps its zoom.
  const again = () => window.dash_clientside.set_props("screen", { data: window.framescope.screen() });

  async function problem(response) {
    try { return (await response.json()).detail || response.statusText; } catch (_) { return response.statusText; }
  }

  async function written(method, trace, note) {
    let response;
    try {
      response = await fetch(`${BASE}/api/frames/${encodeURIComponent(trace)}/pin`, {
        method,
        headers: { "Content-Type": "application/json" },
        ...(method === "PUT" ? { body: JSON.stringify({ note }) } : {}),
      });
    } catch (_) {
      say("pin-said", "Not saved: the app does not answer. What you wrote is still here; try again.");
      return false;
    }
    if (!response.ok) say("pin-said", `Not saved: ${await problem(response)}`);
    return response.ok;
  }

  async function pin(button) {
    const trace = button.dataset.trace;
    if (button.dataset.pinned === "yes" && button.dataset.noted === "yes" && armed !== trace) {
      armed = trace;
      button.textContent = "Unpin and delete the note";
      setTimeout(() => {
        if (armed !== trace) return;
        armed = null;
        if (one("pin") === button) button.textContent = "Unpin";
      }, 10000);
      return;
    }
    armed = null;
    if (await written(button.dataset.pinned === "yes" ? "DELETE" : "PUT", trace, "")) again();
  }

  async function save() {
    const field = one("note");
    say("pin-said", "Saving.");
    if (await written("PUT", field.dataset.trace, field.value)) {
      say("pin-said", "Saved.");
      again();
    }
  }

  async function copyMarkdown(button) {
    try {
      const response = await fetch(button.dataset.from);
      if (!response.ok) {
        say("copy-said", `Not copied: ${await problem(response)}`);
        return;
      }
      await navigator.clipboard.writeText(`${await response.text()}\n${window.location.href}\n`);
      say("copy-said", "Copied, with this page's address");
    } catch (_) {
      say("copy-said", "The browser refused. Open it as a file instead:");
      const link = document.createElement("a");
      link.href = button.dataset.from;
      link.download = "";
      link.textContent = " Markdown file";
      one("copy-said").append(link);
    }
  }

  function compare() {
    const text = one("compare-id").value;
    const found = /(?:^|[^0-9a-f])([0-9a-f]{32})(?![0-9a-f])/i.exec(text);
    if (!found) {
      say("compare-said", "A frame's id is 32 hexadecimal digits. They stand in its address: paste either.");
      return;
    }
    const target = new URL(window.location.href);
    target.searchParams.set("with", found[1].toLowerCase());
    window.framescope.go(target.href);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.id === "pin") void pin(button);
    if (button.id === "note-save") void save();
    if (button.id === "copy-markdown") void copyMarkdown(button);
  });

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "compare-form") return;
    event.preventDefault();
    compare();
  });
})();
