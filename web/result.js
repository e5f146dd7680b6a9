/** Encode Video shows the newest frame while it runs and plays the finished video afterwards, also after a reload of the page. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { nodeOf, root } from "./node/place.js";
import { existing, finished, store, stored, viewOf } from "./preview/kept.js";
import { screenOf } from "./preview/screen.js";

const ENCODE = "StereoReelEncode", EVENT = "stereoreel.encode", KEY = "stereoreel_encode";
const states = new Map(); // workflow and execution id of a node -> what it shows, even while another workflow is open

const keyOf = ({ workflow, id }) => `${workflow}/${id}`;

function draw(node, state) {
    const screen = screenOf(node);
    if (state.files) return screen.play(state.files.map((file) => ({ ...file, address: file.view && api.apiURL(viewOf(file, { t: Date.now() })) })));
    if (state.picture) screen.live(state.picture);
    else if (state.begins) screen.clear();
    screen.say(state.text);
}

function show(state) {
    const node = state.workflow === root()?.id && nodeOf(state.id);
    if (node?.type === ENCODE) draw(node, state);
}

function keep(workflow, id, facts) {
    const state = { workflow: workflow ?? root()?.id, id: String(id), ...facts };
    states.set(keyOf(state), state);
    if (state.files) store(keyOf(state), state.files);
    show(state);
}

/** Show again what a node showed before its workflow was closed or the page reloaded; a file that is gone is not shown. */
async function again(state) {
    const files = state.files && (await existing(state.files));
    if (states.get(keyOf(state)) === state && files?.length !== 0) show({ ...state, files }); // else a run has begun meanwhile
}

/** Show again all that is known of the open workflow. */
function recall() {
    const workflow = root()?.id;
    for (const [key, files] of Object.entries(stored())) {
        const id = key.slice(`${workflow}/`.length), state = { workflow, id, files };
        if (keyOf(state) === key && !states.has(key)) states.set(key, state);
    }
    for (const state of [...states.values()]) if (state.workflow === workflow) again(state);
}

/** Take in what finished while the page was away: the newest result of each node, if it is another than the one that is kept. */
async function catchUp() {
    const newest = new Map((await finished(KEY)).map(([id, files]) => [keyOf({ workflow: files[0].workflow, id }), { id, files }]));
    const kept = stored();
    for (const [key, { id, files }] of newest) {
        const known = states.get(key), running = known && !known.files && !known.ended;
        if (running || !files[0].workflow || JSON.stringify(kept[key]) === JSON.stringify(files)) continue;
        if ((await existing(files)).length && states.get(key) === known) keep(files[0].workflow, id, { files });
    }
}

function live({ detail }) {
    const { workflow, node, text, picture } = detail;
    const before = states.get(`${workflow ?? root()?.id}/${node}`);
    const running = before && !before.files && !before.ended;
    keep(workflow, node, { text, picture: picture ?? (running ? before.picture : undefined), begins: !running });
}

function executed({ detail }) {
    const made = detail?.output?.[KEY];
    if (!made?.length) return;
    keep(made[0].workflow, detail.display_node ?? detail.node, { files: made });
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
        api.addEventListener("reconnected", catchUp);
        catchUp();
    },
    nodeCreated(node) {
        if (node.comfyClass === ENCODE) screenOf(node).say("The video appears here after the run.");
    },
    afterConfigureGraph: recall,
});
