/** StereoReel on the canvas: preview a few frames of a clip before it is rendered. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { PREVIEW, SOURCES, keyOf, partial, reason } from "./preview/partial.js";
import { Player } from "./preview/player.js";

const WIDTH = 390; // least width of a node with images
const WAITING = "waiting for its turn …";
const waiting = new Map(); // key of a queued preview -> its player and its node
let latest = []; // the latest prompt, and its status
const shown = new Map(); // graph and node -> what it shows, to restore it with its workflow

const place = (node) => `${node.graph?.id}/${node.id}`;

/** The player of a node, created on first use. Workflows do not save it. */
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

/** Queue everything upstream of a node, with a preview downstream of it, at the front of the queue. */
async function look(node) {
    const player = playerOf(node);
    try {
        const { output, workflow } = await app.graphToPrompt();
        const { key, prompt } = partial(output, keyOf(output, node));
        waiting.set(key, { node, player });
        player.status(WAITING);
        const { prompt_id } = await api.queuePrompt(-1, { output: prompt, workflow });
        player.prompt = prompt_id;
        if (player.text === WAITING && latest[0] === prompt_id) player.status(latest[1]); // the event may arrive before the response
    } catch (error) {
        player.status(reason(error));
    }
}

function news(prompt, text) {
    latest = [prompt, text];
    for (const { player } of waiting.values()) if (player.prompt === prompt) player.status(text);
}

const asking = (key) => waiting.get(String(key ?? ""));

function listen() {
    api.addEventListener("execution_start", ({ detail }) => news(detail?.prompt_id, "computing upstream nodes …"));
    api.addEventListener("executing", ({ detail }) => asking(detail)?.player.status("computing frames …"));
    api.addEventListener("progress", ({ detail }) => asking(detail?.node)?.player.status(`${detail.value} of ${detail.max} frames`, detail.value / detail.max));
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
                button.tooltip = "Preview a few frames before rendering. Queues only the nodes upstream of this one.";
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
