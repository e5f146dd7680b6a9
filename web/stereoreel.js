/** StereoReel on the canvas: looks at a few frames of a clip before it is rendered. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { PREVIEW, SOURCES, keyOf, partial, reason } from "./preview/partial.js";
import { Player } from "./preview/player.js";

const WIDTH = 390; // of a node that shows pictures, at least
const WAITING = "waiting for its turn …";
const waiting = new Map(); // key of a preview that was queued -> the player that asked for it, and its node
let latest = []; // a prompt, and what is going on with it
const shown = new Map(); // graph and node -> what it shows, so that it is there again when its workflow is

const place = (node) => `${node.graph?.id}/${node.id}`;

/** The player of a node, made when first needed. It is no part of what a workflow saves. */
function playerOf(node) {
    if (node.stereoreel) return node.stereoreel;
    const fit = () => node.setSize([Math.max(node.size[0], WIDTH), node.computeSize()[1]]);
    const player = (node.stereoreel = new Player((file) => api.apiURL(`/view?${new URLSearchParams(file)}`), fit));
    const widget = node.addDOMWidget("stereoreel", "stereoreel", player.element, {
        serialize: false, hideOnZoom: false, getMinHeight: () => player.height(node.size[0] - 30),
    });
    widget.serialize = false;
    const removed = node.onRemoved;
    node.onRemoved = function () {
        player.stop();
        return removed?.apply(this, arguments);
    };
    fit();
    return player;
}

function show(node, samples) {
    shown.set(place(node), samples);
    playerOf(node).show(samples);
    node.setDirtyCanvas?.(true, true);
}

/** Queue what leads to a node, with a preview behind it, ahead of what waits. */
async function look(node) {
    const player = playerOf(node);
    try {
        const { output, workflow } = await app.graphToPrompt();
        const { key, prompt } = partial(output, keyOf(output, node));
        waiting.set(key, { node, player });
        player.tell(WAITING);
        const { prompt_id } = await api.queuePrompt(-1, { output: prompt, workflow });
        player.prompt = prompt_id;
        if (player.told === WAITING && latest[0] === prompt_id) player.tell(latest[1]); // news may be faster than the answer
    } catch (error) {
        player.tell(reason(error));
    }
}

function news(prompt, text) {
    latest = [prompt, text];
    for (const { player } of waiting.values()) if (player.prompt === prompt) player.tell(text);
}

const asking = (key) => waiting.get(String(key ?? ""));

function listen() {
    api.addEventListener("execution_start", ({ detail }) => news(detail?.prompt_id, "working on what comes before …"));
    api.addEventListener("executing", ({ detail }) => asking(detail)?.player.tell("looking …"));
    api.addEventListener("progress", ({ detail }) => asking(detail?.node)?.player.tell(`${detail.value} of ${detail.max} frames`, detail.value / detail.max));
    api.addEventListener("executed", ({ detail }) => {
        const asked = asking(detail?.node);
        if (asked && detail.output?.stereoreel) show(asked.node, detail.output.stereoreel);
    });
    api.addEventListener("execution_error", ({ detail }) => news(detail?.prompt_id, detail?.exception_message?.trim() || "the run failed"));
    api.addEventListener("execution_interrupted", ({ detail }) => news(detail?.prompt_id, "cancelled"));
}

app.registerExtension({
    name: "StereoReel.Preview",
    setup: listen,
    beforeRegisterNodeDef(type, definition) {
        const name = definition.name, created = type.prototype.onNodeCreated, executed = type.prototype.onExecuted;
        if (name in SOURCES)
            type.prototype.onNodeCreated = function () {
                const made = created?.apply(this, arguments);
                const button = this.addWidget("button", "Preview", null, () => look(this), { serialize: false });
                button.serialize = false;
                button.tooltip = "Look at a few frames before you render: queues only what leads to this node.";
                return made;
            };
        if (name === PREVIEW) {
            type.prototype.onNodeCreated = function () {
                const made = created?.apply(this, arguments);
                playerOf(this);
                return made;
            };
            type.prototype.onExecuted = function (output) {
                executed?.apply(this, arguments);
                if (output?.stereoreel) show(this, output.stereoreel);
            };
        }
    },
    loadedGraphNode(node) {
        const samples = shown.get(place(node));
        if (samples && (node.type === PREVIEW || node.type in SOURCES)) playerOf(node).show(samples);
    },
});
