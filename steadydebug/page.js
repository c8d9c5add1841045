// Renews the page each second: it fetches the panel, as the server renders it, and puts in place the
// sections that differ. Nothing is rendered here.
"use strict";

const panel = document.getElementById("panel");
const lost = document.getElementById("lost");
const every = 1000; // ms
const shown = new Map(); // the HTML of each section as it came, by its id
let reachedAt = new Date();
let pressed = null; // what the pointer is down on
let renewing = null;

for (const section of panel.children) shown.set(section.id, section.outerHTML);

function say(text) {
	if (lost.textContent !== text) lost.textContent = text;
	lost.hidden = text === "";
}

// busy tells whether somebody is about to press or to copy something in a section.
function busy(section) {
	const selection = getSelection();
	return section.contains(pressed) || (!selection.isCollapsed && selection.containsNode(section, true));
}

// replace puts the content of fresh into section, which itself stays, so that it can be a live
// region. What was opened stays open, and the focus where it was.
function replace(section, fresh) {
	const focused = section.contains(document.activeElement) ? document.activeElement : null;
	for (const details of section.querySelectorAll("details[id]")) {
		const again = fresh.querySelector("#" + CSS.escape(details.id));
		if (again) again.open = details.open;
	}
	for (const a of fresh.attributes) section.setAttribute(a.name, a.value);
	section.replaceChildren(...fresh.childNodes);
	if (focused) same(section, focused)?.focus({ preventScroll: true });
}

// same returns what stands for an element in the section's new content: never another button.
function same(section, element) {
	if (element.id) return document.getElementById(element.id);
	return [...section.querySelectorAll("a, summary")].find((e) => e.outerHTML === element.outerHTML);
}

function show(html) {
	const fresh = [...new DOMParser().parseFromString(html, "text/html").body.children];
	const ids = new Set(fresh.map((section) => section.id));
	for (const section of [...panel.children]) {
		if (!ids.has(section.id)) {
			section.remove();
			shown.delete(section.id);
		}
	}
	let next = panel.firstElementChild;
	for (const section of fresh) {
		const was = document.getElementById(section.id);
		const html = section.outerHTML;
		if (!was) {
			panel.insertBefore(section, next);
			shown.set(section.id, html);
			continue;
		}
		if (was !== next) panel.insertBefore(was, next);
		next = was.nextElementSibling;
		if (shown.get(was.id) !== html && !busy(was)) {
			replace(was, section);
			shown.set(was.id, html);
		}
	}
}

async function renew() {
	try {
		const answer = await fetch("panel", { redirect: "error", signal: AbortSignal.timeout(10 * every) });
		if (!answer.ok) throw new Error(answer.statusText);
		show(await answer.text());
		reachedAt = new Date();
		if (lost.dataset.why === "unreachable") say("");
	} catch {
		lost.dataset.why = "unreachable";
		say("Not reachable since " + reachedAt.toTimeString().slice(0, 8) + ". What stands below is from then.");
	}
}

// Only one renewal runs at a time; who wants one meanwhile waits for that.
function renewOnce() {
	renewing ??= renew().finally(() => { renewing = null; });
	return renewing;
}

async function tick() {
	if (!document.hidden) await renewOnce();
	setTimeout(tick, every);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) renewOnce(); });
document.addEventListener("pointerdown", (e) => { pressed = e.target; });
// After the click that follows from it.
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => setTimeout(() => { pressed = null; }));

document.addEventListener("submit", async (e) => {
	e.preventDefault();
	const body = new URLSearchParams(new FormData(e.target, e.submitter));
	try {
		const answer = await fetch(e.target.getAttribute("action"), { method: "POST", body, redirect: "error", headers: { Accept: "application/json" } });
		lost.dataset.why = "switch";
		say(answer.status === 204 ? "" : await answer.text());
	} catch {
		lost.dataset.why = "switch";
		say("The switch was not thrown, or its answer was lost: the service is not reachable.");
	}
	await renewing; // which may have begun before
	renewOnce();
});

setTimeout(tick, every);
