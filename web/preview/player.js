/** The player on a node: images of some frames, view modes, and a bar to select a frame. */

import { make } from "../node/make.js";
import { enter, supported } from "./headset.js";
import { ANAGLYPH, LEFT, RIGHT, paint } from "./painter.js";
import { STYLE } from "./style.js";

const VIEWS = {
    wiggle: ["Wiggle", "Left and right views in turn; what stands still is at screen depth"],
    anaglyph: ["Anaglyph", "For red-cyan glasses"],
    pair: ["Side by side", "Both views, for parallel viewing"],
    left: ["Left", "The left view alone"],
    right: ["Right", "The right view alone"],
};

const CONTROLS = 92; // pixels: the height of the rows below the image

const CORNERS = `<svg viewBox="0 0 16 16" width="12" height="12" fill="none" stroke="currentColor" stroke-width="1.8">
    <path d="M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"/></svg>`;

function slider(label, title, facts, format, changed) {
    const input = make("input", { type: "range", ...facts, oninput: () => update() });
    const output = make("output");
    const update = () => {
        output.textContent = format(input.valueAsNumber);
        changed?.(input.valueAsNumber);
    };
    output.textContent = format(input.valueAsNumber);
    return Object.assign(make("label", { title }, label, input, output), { input });
}

export class Player {
    /** `address` returns the URL of a ComfyUI file; `reshaped` is called when the images' shape has changed. */
    constructor(address, reshaped = () => {}) {
        Object.assign(this, { address, reshaped, shape: 9 / 16, samples: [], loaded: [], at: 0, view: "wiggle", eye: LEFT, timer: null, asked: 0 });
        this.canvas = make("canvas", { width: 16, height: 9 });
        this.context = this.canvas.getContext("2d", { willReadFrequently: false });
        this.note = make("div", { className: "note", textContent: "Queue the workflow to see some of its frames." });
        this.share = make("div", { className: "share" });
        this.buttons = Object.fromEntries(Object.entries(VIEWS).map(([view, [text, title]]) =>
            [view, make("button", { textContent: text, title, onclick: () => this.choose(view) })]));
        this.vr = make("button", { textContent: "VR", title: "View in a headset", hidden: true, onclick: () => this.enter() });
        this.full = make("button", { innerHTML: CORNERS, title: "Fill the screen", onclick: () => this.fill() });
        this.depth = slider("Depth", "Overlay the depth; light yellow is near", { min: 0, max: 1, step: 0.05, value: 0 },
            (share) => `${Math.round(100 * share)} %`, () => this.draw());
        this.shift = slider("Shift", "Shift the scene towards you (above 0) or away, in percent of the width", { min: -5, max: 5, step: 0.1, value: 0 },
            (share) => `${share > 0 ? "+" : ""}${share.toFixed(1)} %`, () => this.draw());
        this.speed = slider("Speed", "Switches between the views per second", { min: 1, max: 12, step: 0.5, value: 4 }, (rate) => `${rate} /s`, () => this.run());
        this.scrub = make("input", { type: "range", min: 0, max: 0, step: 1, value: 0, title: "The sampled frames, from start to end",
            oninput: () => this.go(this.scrub.valueAsNumber) });
        this.where = make("output");
        this.element = make("div", { className: "stereoreel" },
            make("style", { textContent: STYLE }),
            make("div", { className: "screen" }, this.canvas, this.note, this.share),
            make("div", { className: "row" }, ...Object.values(this.buttons), make("span", { className: "gap" }), this.vr, this.full),
            make("div", { className: "row" }, this.speed, this.shift, this.depth),
            make("div", { className: "row" }, this.scrub, this.where));
        for (const event of ["keydown", "pointerdown", "dblclick"]) this.element.addEventListener(event, (one) => one.stopPropagation());
        supported().then((yes) => { this.vr.hidden = !yes; });
        this.choose(this.view);
    }

    /** Return its height in pixels for images of this width. */
    height(width) {
        return CONTROLS + Math.min(Math.max(width * this.shape, 120), 640);
    }

    /** Show a line over the image, and the progress, 0..1. */
    status(text, share = 0) {
        this.text = text;
        Object.assign(this.note, { textContent: text, hidden: !text });
        this.share.style.width = `${100 * share}%`;
    }

    /** Show samples: `{frame, frames, seconds, left, right?, depth?}`, images as ComfyUI files. */
    async show(samples) {
        const asked = ++this.asked;
        this.status("");
        Object.assign(this, { samples, loaded: [], at: Math.min(this.at, samples.length - 1) });
        this.scrub.max = samples.length - 1;
        const [first] = samples;
        this.buttons.wiggle.disabled = this.buttons.anaglyph.disabled = this.buttons.pair.disabled = this.buttons.right.disabled = !first.right;
        this.depth.hidden = !first.depth;
        this.choose(first.right ? this.view : "left");
        const nearest = samples.map((_, at) => at).sort((a, b) => Math.abs(a - this.at) - Math.abs(b - this.at));
        for (const at of nearest) {
            const loaded = await this.load(samples[at]).catch(() => null);
            if (asked !== this.asked) return;
            if (!loaded) return this.status("These images no longer exist. Preview again.");
            this.loaded[at] = loaded;
            if (at === this.at) this.fits(loaded.left);
        }
    }

    /** Handle the first image. */
    fits({ naturalWidth: width, naturalHeight: height }) {
        const same = Math.abs(this.shape - height / width) < 0.005;
        this.shape = height / width;
        this.canvas.parentElement.style.aspectRatio = `${width} / ${height}`;
        this.go(this.at);
        if (!same) this.reshaped();
    }

    async load(sample) {
        const names = ["left", "right", "depth"].filter((name) => sample[name]);
        const pictures = names.map((name) => make("img", { src: this.address(sample[name]) }));
        await Promise.all(pictures.map((picture) => picture.decode()));
        return Object.fromEntries(names.map((name, place) => [name, pictures[place]]));
    }

    go(at) {
        this.at = at;
        const sample = this.samples[at];
        this.scrub.value = at;
        this.where.textContent = sample ? `frame ${sample.frame} of ${sample.frames} · ${sample.seconds.toFixed(2)} s` : "";
        this.draw();
    }

    choose(view) {
        this.view = view;
        for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", String(name === view));
        this.speed.hidden = view !== "wiggle";
        this.run();
        this.draw();
    }

    /** Start or stop the wiggle. */
    run() {
        this.stop();
        if (this.view === "wiggle") this.timer = setInterval(() => this.wiggle(), 1000 / this.speed.input.valueAsNumber);
    }

    stop() {
        clearInterval(this.timer);
        this.timer = null;
    }

    wiggle() {
        this.eye = this.eye === LEFT ? RIGHT : LEFT;
        if (this.canvas.offsetParent) this.draw(); // not while it is hidden
    }

    /** Drawing parameters: the view, the shift and the depth's opacity. */
    get looks() {
        const eye = { anaglyph: ANAGLYPH, left: LEFT, right: RIGHT, pair: LEFT, wiggle: this.eye }[this.view];
        return { eye, shift: this.shift.input.valueAsNumber / 100, overlay: this.depth.input.valueAsNumber };
    }

    draw() {
        const pictures = this.loaded[this.at];
        if (!pictures) return;
        const { naturalWidth: width, naturalHeight: height } = pictures.left, pair = this.view === "pair";
        const wide = pair ? 2 * width : width;
        if (this.canvas.width !== wide || this.canvas.height !== height) Object.assign(this.canvas, { width: wide, height });
        paint(this.context, pictures, this.looks);
        if (pair) paint(this.context, pictures, { ...this.looks, eye: RIGHT }, width);
    }

    fill() {
        if (document.fullscreenElement) document.exitFullscreen();
        else this.element.requestFullscreen();
    }

    async enter() {
        const next = () => this.go((this.at + 1) % this.samples.length);
        await enter(() => ({ pictures: this.loaded[this.at], view: this.looks }), next).catch((error) => this.status(`The headset: ${error.message}`));
    }
}
