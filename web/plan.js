/** Stereo Comfort offers the plan that was found for Stereo Pair's shots, to be edited in that node. */

import { app } from "../../scripts/app.js";
import { say } from "./texts.js";

const COMFORT = "StereoReelComfort", STEREO = "StereoReelStereo", KEY = "stereoreel_plan";

const ROW = 24, LINE = 14, MOST = 200, WIDTH = 320; // pixels: a button, a line of the table, all that it adds, the node's least width

/** Make a node taller, and as wide as this at least. */
function grow(node, height, width = 0) {
    node.setSize([Math.max(node.size[0], width), node.size[1] + Math.min(height, MOST)]);
}

/** The Stereo Pair upstream of a node, the nearest first; null if there is none. */
function stereoOf(node, seen = new Set()) {
    if (!node || seen.has(node)) return null;
    seen.add(node);
    if (node.type === STEREO) return node;
    for (const at of (node.inputs ?? []).keys()) {
        const found = stereoOf(node.getInputNode?.(at), seen);
        if (found) return found;
    }
    return null;
}

/** Write a plan into the widget of Stereo Pair, where it applies from the next run on. */
function edit(node, plan) {
    const stereo = stereoOf(node), widget = stereo?.widgets?.find(({ name }) => name === "plan");
    if (!widget || !plan) return;
    const added = !widget.value;
    widget.value = plan;
    widget.callback?.(plan);
    if (added) grow(stereo, LINE * plan.trim().split("\n").length, WIDTH); // the callback has fitted the node to its widgets
    app.canvas?.centerOnNode?.(stereo);
    stereo.setDirtyCanvas?.(true, true);
}

function offer(node, plan) {
    let button = node.widgets?.find(({ name }) => name === KEY);
    if (!button) {
        button = node.addWidget("button", KEY, null, () => edit(node, node.stereoreelPlan), { serialize: false });
        button.serialize = false;
        button.label = say("editPlan");
        grow(node, ROW); // the page below the widgets keeps its room
    }
    node.stereoreelPlan = plan;
    button.disabled = false;
}

/** Keep a plan that an earlier run found from being written when the latest one found none. */
function withdraw(node) {
    const button = node.widgets?.find(({ name }) => name === KEY);
    if (button) button.disabled = true;
    node.stereoreelPlan = null;
}

app.registerExtension({
    name: "StereoReel.Plan",
    beforeRegisterNodeDef(type, definition) {
        if (definition.name !== COMFORT) return;
        const executed = type.prototype.onExecuted;
        type.prototype.onExecuted = function (output) {
            executed?.apply(this, arguments);
            const [plan] = output?.[KEY] ?? [];
            if (plan && stereoOf(this)) offer(this, plan);
            else withdraw(this);
        };
    },
});
