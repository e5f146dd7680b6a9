/** The prompt that previews a node: everything upstream of it, and a preview node downstream. */

export const PREVIEW = "StereoReelPreview";

/** The inputs of a node's preview, from its key and its inputs in the prompt. */
export const SOURCES = {
    StereoReelStereo: (key, inputs) => ({ clip: [key, 0], depth: inputs.depth, packed: "full SBS" }),
    StereoReelEncode: (key, inputs) => ({ clip: inputs.clip, depth: inputs.depth, packed: inputs.packed }),
};

/** The key of a node in a prompt: its number, preceded by those of its subgraphs. */
export function keyOf(output, node) {
    const id = String(node.id);
    const inside = node.graph && node.graph !== node.graph.rootGraph && node.graph.rootGraph;
    if (!inside && id in output) return id;
    return Object.keys(output).find((key) => key.endsWith(`:${id}`) && output[key].class_type === node.type);
}

/** `{key, prompt}`: the key of the preview, and the prompt; throws an Error with the remedy if there is nothing to preview. */
export function partial(output, key) {
    const node = output[key];
    if (!node) throw new Error("This node is muted or bypassed. Switch it on to preview it.");
    const inputs = Object.fromEntries(Object.entries(SOURCES[node.class_type](key, node.inputs)).filter(([, value]) => value != null));
    if (!Array.isArray(inputs.clip) || (node.class_type === "StereoReelStereo" && !(node.inputs.clip && node.inputs.depth)))
        throw new Error("Connect this node's inputs first.");
    const preview = `${key}.preview`;
    const prompt = { [preview]: { class_type: PREVIEW, inputs, _meta: { title: "Preview" } } };
    const open = [preview];
    while (open.length)
        for (const value of Object.values(prompt[open.pop()].inputs))
            if (Array.isArray(value) && output[value[0]] && !prompt[value[0]]) {
                prompt[value[0]] = output[value[0]];
                open.push(String(value[0]));
            }
    return { key: preview, prompt };
}

/** Return why a prompt was refused, in a sentence. */
export function reason(error) {
    const response = error?.response ?? {};
    const [first] = Object.values(response.node_errors ?? {}).flatMap((node) => node.errors ?? []);
    const cause = first ?? (typeof response.error === "object" ? response.error : null);
    return cause ? [cause.message, cause.details].filter(Boolean).join(": ") : error?.message ?? String(error);
}
