/** Extract Video plays the chosen video, or the sample, before the first run. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { chain } from "./node/place.js";
import { screenOf } from "./preview/screen.js";

const EXTRACT = "StereoReelExtract", SAMPLE = "sample";
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

function show(node) {
    const screen = screenOf(node), video = String(node.widgets.find((widget) => widget.name === "video")?.value ?? "");
    const linked = node.inputs?.some((input) => ["clip", "video"].includes(input.name) && input.link != null);
    const wanted = linked ? null : video;
    if (node.stereoreelVideo === wanted) return;
    node.stereoreelVideo = wanted;
    if (linked) screen.clear("The frames come from the connected node.");
    else if (!video) screen.clear();
    else if (partsOf(video)[0].endsWith("/")) screen.clear(`${video}: numbered pictures`);
    else screen.play([fileOf(video)]);
}

app.registerExtension({
    name: "StereoReel.Source",
    nodeCreated(node) {
        if (node.comfyClass !== EXTRACT) return;
        const update = () => show(node), widget = node.widgets?.find((one) => one.name === "video");
        screenOf(node);
        for (const name of ["onConfigure", "onConnectionsChange", "onWidgetChanged"]) chain(node, name, update);
        if (widget) chain(widget, "callback", update);
        requestAnimationFrame(update); // after a saved workflow has set the value
    },
});
