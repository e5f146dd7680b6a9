/** Extract Video plays the chosen video, or the sample, before the first run. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { chain, nodeOf, root } from "./node/place.js";
import { screenOf } from "./preview/screen.js";

const EXTRACT = "StereoReelExtract", SAMPLE = "sample", KEY = "stereoreel_facts";
const NONE = "none", FOLDER = "folder:"; // of the widget folder, and before its value as what a screen shows
const PAUSE = 250; // milliseconds
const OPTIONS = new Set(); // names of the node's options, from its definition
const SHOWN = /\.(png|apng|jpe?g|jfif|webp|gif|bmp|avif)$/i, STILL = /\.(png|jpe?g|jfif|bmp|avif)$/i; // images, and those never animated

/** The path and the folder of a chosen video. */
function partsOf(video) {
    const [, path, type = "input"] = /^(.*?)(?: \[(input|output|temp)\])?$/.exec(video);
    return [path, type];
}

/** What a screen plays for a chosen video. An image says that it becomes one frame. */
function fileOf(video) {
    if (video === SAMPLE) return { media: "video", name: video, text: "sample: 4 s, with audio", address: addressOf(video) };
    const [path] = partsOf(video), text = STILL.test(path) ? `${video} is an image, so the clip has one frame.` : video;
    return { media: SHOWN.test(path) ? "image" : "video", name: video, text, address: addressOf(video) };
}

/** Where the browser finds a chosen video: `folder/name.mp4`, perhaps followed by `[output]` or `[temp]`. */
export function addressOf(video) {
    if (video === SAMPLE) return api.apiURL("/stereoreel/sample.mp4");
    const [path, type] = partsOf(video);
    const cut = path.lastIndexOf("/");
    return api.apiURL(`/view?${new URLSearchParams({ filename: path.slice(cut + 1), subfolder: path.slice(0, Math.max(0, cut)), type })}`);
}

/** What the node opens with its options; null if one of them comes from another node. */
function optionsOf(node) {
    const names = new Set(node.inputs?.filter((input) => input.link != null).map((input) => input.widget?.name ?? input.name));
    const widgets = node.widgets.filter((widget) => OPTIONS.has(widget.name) && widget.type !== "button");
    return widgets.some((widget) => names.has(widget.name)) ? null : new URLSearchParams(widgets.map((widget) => [widget.name, widget.value]));
}

/** Say on the node how many frames of which size and rate its options give, as soon as they are set. */
async function describe(node) {
    const linked = isLinked(node), wanted = linked ? null : optionsOf(node)?.toString();
    if (node.stereoreelAsked === wanted) return;
    node.stereoreelAsked = wanted;
    if (!wanted) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE)); // a value that is being typed
    if (node.stereoreelAsked !== wanted) return;
    const answer = await api.fetchApi(`/stereoreel/facts?${wanted}`).catch(() => null);
    const { text, error } = (await answer?.json?.().catch(() => null)) ?? {};
    if (node.stereoreelAsked === wanted && (text || error)) screenOf(node).caption(text ?? error);
}

const isLinked = (node) => node.inputs?.some((input) => ["clip", "video"].includes(input.name) && input.link != null);

function show(node) {
    const screen = screenOf(node), video = String(node.widgets.find((widget) => widget.name === "video")?.value ?? "");
    const linked = isLinked(node);
    const folder = String(node.widgets.find((widget) => widget.name === "folder")?.value ?? NONE);
    const wanted = linked ? null : [NONE, SAMPLE].includes(folder) ? (folder === SAMPLE ? SAMPLE : video) : FOLDER + folder;
    if (node.stereoreelVideo === wanted) return;
    node.stereoreelVideo = wanted;
    if (linked) screen.clear("The frames come from the connected node.");
    else if (wanted?.startsWith(FOLDER)) screen.clear(`Folder ${wanted.slice(FOLDER.length)}: each run takes the video at its index.`);
    else if (!video) screen.clear();
    else if (partsOf(video)[0].endsWith("/")) screen.clear(`${video}: numbered pictures`);
    else screen.play([fileOf(video)]);
}

/** Say what a run has opened, which is known then even if the clip or an option comes from another node. */
function executed({ detail }) {
    const made = detail?.output?.[KEY]?.[0];
    if (!made || (made.workflow ?? root()?.id) !== root()?.id) return;
    const node = nodeOf(detail.display_node ?? detail.node);
    if (node?.type === EXTRACT) screenOf(node).caption(made.text);
}

app.registerExtension({
    name: "StereoReel.Source",
    setup() {
        api.addEventListener("executed", executed);
    },
    beforeRegisterNodeDef(type, definition) {
        if (definition.name !== EXTRACT) return;
        const inputs = Object.entries({ ...definition.input?.required, ...definition.input?.optional });
        for (const [name, [, facts]] of inputs) if (facts?.default !== undefined) OPTIONS.add(name);
    },
    nodeCreated(node) {
        if (node.comfyClass !== EXTRACT) return;
        const update = () => {
            show(node);
            describe(node);
        };
        screenOf(node);
        for (const name of ["onConfigure", "onConnectionsChange", "onWidgetChanged"]) chain(node, name, update);
        for (const one of node.widgets ?? []) if (OPTIONS.has(one.name)) chain(one, "callback", update);
        requestAnimationFrame(update); // after a saved workflow has set the value
    },
});
