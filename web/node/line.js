/** A line on a node that says which model runs, with a button that fetches a better one. */

import { make } from "./make.js";
import { app } from "../../../scripts/app.js";
import { say } from "../texts.js";
import { RUNNING, catalogue } from "./catalogue.js";
import { drawnByVue } from "./place.js";

const STYLE = `
.stereoreel-lines { width: 100%; box-sizing: border-box; padding: 0 4px 4px; font: 12px/1.35 Inter, system-ui, sans-serif; color: var(--input-text, #ddd); }
.stereoreel-lines [hidden] { display: none !important; }
.stereoreel-lines .line + .line { margin-top: 6px; }
.stereoreel-lines .text { overflow-wrap: anywhere; user-select: text; }
.stereoreel-lines .wrong { color: var(--p-orange-400, #fb923c); overflow-wrap: anywhere; user-select: text; }
.stereoreel-lines .row { display: flex; gap: 4px; margin-top: 3px; }
.stereoreel-lines button { flex: 1 1 0; min-width: 0; padding: 3px 6px; overflow-wrap: anywhere;
    border: 1px solid var(--border-color, #4e4e4e); border-radius: 5px; font: inherit; cursor: pointer;
    background: var(--comfy-input-bg, #222); color: inherit; }
.stereoreel-lines button.cancel { flex: 0 0 auto; }
.stereoreel-lines .bar { position: relative; flex: 1 1 0; overflow: hidden; border-radius: 5px; padding: 4px 8px; white-space: nowrap;
    background: var(--comfy-input-bg, #222); }
.stereoreel-lines .bar i { position: absolute; inset: 0 auto 0 0; background: var(--p-primary-color, #5b9bf5); opacity: 0.55; }
.stereoreel-lines .bar span { position: relative; }
`;
const ROW = 30, TEXT = 17, PADDING = 4, MARGIN = 20; // pixels: a row with a button, a row of text, own padding, and what classic nodes leave around an element
const LETTER = 6.2; // pixels of width, about

/** The sentence about the model that will run, or that ran, and the model to fetch, if any. */
function sentence({ kind, model: name, ran, live, download, given }) {
    if (given) return { text: say("given") };
    const choice = catalogue.choice(kind, name, { live, download });
    if (!choice) return { text: "" };
    const { title: model, license, brief, lacking, fault, missing, offer, better } = choice, fetch = better.offer ? better : null;
    const works = (before, { title, license, brief }) => say(brief ? `${before}Builtin` : license ? before : `${before}Own`, { model: title, license, brief });
    if (ran) return { text: works("ran", catalogue.choice(kind, ran.model)), why: ran.why, fetch };
    if (lacking) return { text: say("unable", { model, lacking }) };
    if (fault) return { text: say("faulty", { model, fault }) };
    if (missing.length && download && offer) return { text: say("downloads", { model, license, size: offer.size }), fetch };
    if (missing.length) return { text: say("absent", { model }), fetch };
    return { text: works("runs", choice), why: choice.why, fetch };
}

async function agreed({ title: model, license, commercial, offer }) {
    const dialog = app.extensionManager?.dialog, itemList = [
        say(commercial ? "askLicense" : "askBound", { license }), say("askSize", offer), say("askSource", offer), say("askFolder", offer),
    ];
    const title = say("ask", { model });
    if (!dialog?.confirm) return window.confirm([title, say("askText"), ...itemList].join("\n"));
    return dialog.confirm({ title, message: say("askText"), itemList, type: "default" });
}

class Line {
    constructor(reshaped) {
        Object.assign(this, { reshaped, wrong: "", shown: null });
        this.text = make("div", { className: "text" });
        this.complaint = make("div", { className: "wrong", hidden: true });
        this.button = make("button", { className: "fetch", onclick: () => this._ask() });
        this.fill = make("i");
        this.count = make("span");
        this.bar = make("div", { className: "bar" }, this.fill, this.count);
        this.stop = make("button", { className: "cancel", onclick: () => catalogue.cancel(), textContent: say("cancel") });
        this.row = make("div", { className: "row", hidden: true }, this.button, this.bar, this.stop);
        this.element = make("div", { className: "line" }, this.text, this.row, this.complaint);
    }

    /** `model` is the value of the widget `widget`, among the models of `kind`; `ran` what the last run used, if known. */
    show(model, several) {
        const { text, why = "", fetch: offered = null } = sentence(model), { download } = catalogue;
        const mine = offered && download?.kind === offered.kind && download.name === offered.name ? download : null;
        if (this.shown?.name !== offered?.name) this.wrong = "";
        this.shown = offered;
        this.text.textContent = several && text ? say("several", { widget: model.widget, text }) : text;
        this.text.title = why;
        this.row.hidden = !offered;
        if (offered) this._fetching(offered, mine?.state === RUNNING ? mine : null);
        const wrong = this.wrong || (mine?.state === "failed" ? mine.text : "");
        this.complaint.textContent = wrong;
        this.complaint.hidden = !wrong;
    }

    /** Pixels of height at a width, about, where the page has not laid it out. */
    height(width) {
        if (this.element.hidden) return 0;
        const rows = (text) => text && Math.max(1, Math.ceil((text.length * LETTER) / Math.max(width, 1)));
        return (rows(this.text.textContent) + rows(this.complaint.textContent)) * TEXT + (this.row.hidden ? 0 : ROW);
    }

    _fetching(offered, running) {
        this.button.hidden = !!running;
        this.bar.hidden = this.stop.hidden = !running;
        this.button.textContent = this.button.title = say("offer", { model: offered.title, license: offered.license, size: offered.offer.size });
        if (!running) return;
        const { done, total } = running, megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
        this.fill.style.width = `${total ? (100 * done) / total : 0}%`;
        this.count.textContent = total ? say("progress", { done: megabytes(done), total: megabytes(total) }) : say("starting");
    }

    async _ask() {
        const offered = this.shown;
        this.wrong = "";
        if (!(await agreed(offered))) return;
        this.wrong = await catalogue.fetch(offered.kind, offered.name);
        if (this.wrong) this.reshaped();
    }
}

/** The lines of a node, one for each model that it runs, in one widget that no workflow saves. */
export function linesOf(node, count, refresh) {
    const lines = Array.from({ length: count }, () => new Line(refresh));
    const inner = make("div", {}, ...lines.map((line) => line.element));
    const element = make("div", { className: "stereoreel-lines" }, make("style", { textContent: STYLE }), inner);
    const height = () => PADDING + (drawnByVue() ? 0 : MARGIN) + (inner.offsetHeight || lines.reduce((sum, line) => sum + line.height(node.size[0] - 40), 0));
    const widget = node.addDOMWidget("stereoreel_models", "stereoreel", element, { serialize: false, hideOnZoom: false, getMinHeight: height, getMaxHeight: height });
    widget.serialize = false;
    new ResizeObserver(() => node.stereoreelFit?.()).observe(inner);
    return lines;
}
