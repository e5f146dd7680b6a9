/** A screen on a node: a live frame, or finished files that play, with a line of text below. */

import { make } from "../node/make.js";

const STYLE = `
.stereoreel-screen { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; box-sizing: border-box; padding: 4px;
    font: 12px/1.3 Inter, system-ui, sans-serif; color: var(--input-text, #ddd); }
.stereoreel-screen[hidden], .stereoreel-screen [hidden] { display: none; }
.stereoreel-screen .frame { flex: 1 1 auto; min-height: 0; background: #000; border-radius: 6px; overflow: hidden; }
.stereoreel-screen .frame > * { display: block; width: 100%; height: 100%; object-fit: contain; }
.stereoreel-screen .files { display: flex; flex: none; gap: 4px; }
.stereoreel-screen button { flex: 1 1 0; min-width: 0; padding: 2px 6px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
    border: 1px solid var(--border-color, #4e4e4e); border-radius: 5px; font: inherit; cursor: pointer;
    background: var(--comfy-input-bg, #222); color: inherit; }
.stereoreel-screen button[aria-pressed="true"] { background: var(--p-primary-color, #5b9bf5); border-color: transparent; color: #fff; }
.stereoreel-screen .text { flex: none; min-height: 2.6em; user-select: text; overflow-wrap: anywhere; }
`;
const ROWS = 66, FILES = 26; // pixels: the height of the text and of the margins, and of the row of buttons if there are several files
export const UNPLAYABLE = "This browser cannot play the file. The file itself is complete.";

export class Screen {
    /** `reshaped` is called when the height that the screen needs for a width has changed. */
    constructor(reshaped = () => {}) {
        Object.assign(this, { reshaped, shape: 0, several: false });
        this.frame = make("div", { className: "frame", hidden: true });
        this.files = make("div", { className: "files", hidden: true });
        this.line = make("div", { className: "text" });
        this.element = make("div", { className: "stereoreel-screen" }, make("style", { textContent: STYLE }), this.frame, this.files, this.line);
    }

    /** Pixels of height at a width. */
    height(width) {
        return Math.round(width * this.shape) + ROWS + (this.several ? FILES : 0);
    }

    say(text) {
        this.line.textContent = text;
    }

    /** Say something else of the file that is shown, or of its absence. */
    caption(text) {
        if (this.file) this.file.text = text;
        this.say(this.failed ? `${text} · ${UNPLAYABLE}` : text);
    }

    /** Show the newest frame of a run. */
    live(address) {
        this._choose([]);
        const image = this.frame.querySelector("img.live") ?? this._put(make("img", { className: "live" }));
        image.onload = () => this._shape(image.naturalWidth, image.naturalHeight);
        image.src = address;
    }

    /** Show the first of `[{media, address, text, name}]`; buttons switch between several. A missing address shows the text alone. */
    play(files) {
        this._choose(files);
        this._open(files[0]);
    }

    clear(text = "") {
        Object.assign(this, { file: null, failed: false });
        this._choose([]);
        this._empty();
        this.say(text);
    }

    _choose(files) {
        this.several = files.length > 1;
        this.files.hidden = !this.several;
        this.files.replaceChildren(...(this.several ? files : []).map((file) =>
            make("button", { textContent: file.name, title: file.name, onclick: () => this._open(file) })));
    }

    _open(file) {
        for (const button of this.files.children) button.setAttribute("aria-pressed", button.textContent === file.name);
        Object.assign(this, { file, failed: false });
        this.say(file.text);
        if (!file.address) return this._fail(file.text);
        if (file.media === "image") {
            const image = this._put(make("img"));
            image.onload = () => this._shape(image.naturalWidth, image.naturalHeight);
            image.onerror = () => this._fail(file.text);
            image.src = file.address;
            return;
        }
        const video = this._put(make("video", { muted: true, loop: true, autoplay: true, controls: true, playsInline: true }));
        video.onloadedmetadata = () => this._shape(video.videoWidth, video.videoHeight);
        video.onerror = () => video.isConnected && this._fail(file.text);
        video.src = file.address;
    }

    _fail(text) {
        this._empty();
        this.failed = true;
        this.say(`${text ? `${text} · ` : ""}${UNPLAYABLE}`);
    }

    _put(element) {
        this._stop();
        this.frame.hidden = false;
        this.frame.replaceChildren(element);
        return element;
    }

    _empty() {
        this._stop();
        this.frame.hidden = true;
        this.frame.replaceChildren();
        this._shape(1, 0);
    }

    /** Release a video, so that it stops loading. */
    _stop() {
        const video = this.frame.querySelector("video");
        if (!video) return;
        video.onerror = null;
        video.removeAttribute("src");
        video.load();
    }

    _shape(width, height) {
        const shape = width ? height / width : 0;
        if (Math.abs(shape - this.shape) < 1e-3) return;
        this.shape = shape;
        this.frame.style.aspectRatio = height ? `${width} / ${height}` : "";
        this.reshaped();
    }
}

const MARGIN = 30; // pixels of a node's width that are not the widget's

/** A node's screen, created on first use. Workflows and prompts do not contain it; core draws no preview of its own. */
export function screenOf(node) {
    if (node.stereoreelScreen) return node.stereoreelScreen;
    const fit = () => {
        node.setSize([node.size[0], Math.max(node.computeSize()[1], 0)]);
        node.setDirtyCanvas?.(true, true);
    };
    const screen = (node.stereoreelScreen = new Screen(fit));
    const widget = node.addDOMWidget("stereoreel_screen", "stereoreel", screen.element, {
        serialize: false, hideOnZoom: false, getMinHeight: () => screen.height(node.size[0] - MARGIN),
    });
    widget.serialize = false;
    node.hideOutputImages = true; // Nodes 2.0
    node.onDrawBackground = () => {}; // classic nodes: core's preview is drawn there
    node.videoContainer ??= document.createElement("div"); // and that of its upload widget
    const removed = node.onRemoved;
    node.onRemoved = function () {
        screen.clear();
        return removed?.apply(this, arguments);
    };
    return screen;
}
