/** Encode Video shows the newest frame while it runs and plays the finished video afterwards. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { nodeOf, root } from "./node/place.js";
import { screenOf } from "./preview/screen.js";

const ENCODE = "StereoReelEncode", EVENT = "stereoreel.encode", KEY = "stereoreel_encode";
const states = new Map(); // workflow and execution id of a node -> what it shows, even while another workflow is open

function encodeOf(id) {
    const node = nodeOf(id);
    return node?.type === ENCODE ? node : null;
}

function draw(node, state) {
    const screen = screenOf(node);
    if (state.files) return screen.play(state.files);
    if (state.picture) screen.live(state.picture);
    else if (state.begins) screen.clear();
    screen.say(state.text);
}

function keep(workflow, id, state) {
    const known = workflow ?? root()?.id;
    states.set(`${known}/${id}`, { workflow: known, id: String(id), ...state });
    const node = known === root()?.id && encodeOf(id);
    if (node) draw(node, state);
}

const address = (file) => file.view && api.apiURL(`/view?${new URLSearchParams({ ...file.view, t: Date.now() })}`);

function live({ detail }) {
    const { workflow, node, text, picture } = detail;
    const before = states.get(`${workflow ?? root()?.id}/${node}`);
    const running = before && !before.files && !before.ended;
    keep(workflow, node, { text, picture: picture ?? (running ? before.picture : undefined), begins: !running });
}

function executed({ detail }) {
    const made = detail?.output?.[KEY];
    if (!made?.length) return;
    keep(made[0].workflow, detail.display_node ?? detail.node, { files: made.map((file) => ({ ...file, address: address(file) })) });
}

/** A run that ends early keeps its last frame and shows the reason. */
function ended(text) {
    for (const state of [...states.values()])
        if (!state.files && !state.ended) keep(state.workflow, state.id, { text, picture: state.picture, ended: true });
}

app.registerExtension({
    name: "StereoReel.Result",
    setup() {
        api.addEventListener(EVENT, live);
        api.addEventListener("executed", executed);
        api.addEventListener("execution_error", () => ended("The run failed."));
        api.addEventListener("execution_interrupted", () => ended("Cancelled."));
    },
    nodeCreated(node) {
        if (node.comfyClass === ENCODE) screenOf(node).say("The video appears here after the run.");
    },
    afterConfigureGraph() {
        for (const state of states.values()) {
            const node = state.workflow === root()?.id && encodeOf(state.id);
            if (node) draw(node, state);
        }
    },
});
