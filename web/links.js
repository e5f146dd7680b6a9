/** Refuse links from a VIDEO to a socket for IMAGE batches, and show the remedy. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const REMEDY = "This is a VIDEO, but the socket takes an IMAGE batch. Put Get Video Components between.";
const CRASH = /'LazyVideo' object/;

const types = (type) => String(type).split(",");
const linkOf = (graph, id) => graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? graph?.links?.[id];
const ours = (node) => String(node?.type).startsWith("StereoReel");

/** Whether an output is known to be a VIDEO: by its own type, or because the clip of its node is one. */
function givesVideo(node, slot, seen = new Set()) {
    const given = types(node?.outputs?.[slot]?.type);
    if (!given.includes("VIDEO")) return false;
    if (given.length === 1) return true;
    if (!ours(node) || seen.has(node)) return false;
    seen.add(node);
    const link = linkOf(node.graph, node.inputs?.find((input) => input.name === "clip")?.link);
    return !!link && givesVideo(node.graph.getNodeById(link.origin_id), link.origin_slot, seen);
}

const imagesOnly = (type) => types(type).some((one) => one === "IMAGE" || one === "MASK") && !types(type).some((one) => one === "VIDEO" || one === "*");

/** Whether an output of one of our nodes reaches a socket for images only, perhaps through others of ours. */
function feedsImages(node, seen = new Set()) {
    if (!ours(node) || seen.has(node)) return false;
    seen.add(node);
    return (node.outputs ?? []).filter((output) => types(output.type).length > 1).some((output) => (output.links ?? []).some((id) => {
        const link = linkOf(node.graph, id), target = link && node.graph.getNodeById(link.target_id);
        const input = target?.inputs?.[link.target_slot];
        return !!input && (imagesOnly(input.type) || (input.name === "clip" && feedsImages(target, seen)));
    }));
}

function refuse() {
    app.extensionManager?.toast?.add({ severity: "warn", summary: "StereoReel", detail: REMEDY, life: 8000 });
    return false;
}

app.registerExtension({
    name: "StereoReel.Links",
    setup() {
        api.addEventListener("execution_error", ({ detail }) => CRASH.test(detail?.exception_message) && refuse());
    },
    beforeRegisterNodeDef(type, definition) {
        if (!definition.name.startsWith("StereoReel")) return;
        const outgoing = type.prototype.onConnectOutput, incoming = type.prototype.onConnectInput;
        type.prototype.onConnectOutput = function (slot, inputType) {
            if (outgoing?.apply(this, arguments) === false) return false;
            return imagesOnly(inputType) && givesVideo(this, slot) ? refuse() : true;
        };
        type.prototype.onConnectInput = function (slot, outputType, output, source, sourceSlot) {
            if (incoming?.apply(this, arguments) === false) return false;
            return this.inputs?.[slot]?.name === "clip" && givesVideo(source, sourceSlot) && feedsImages(this) ? refuse() : true;
        };
    },
});
