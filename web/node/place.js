/** Nodes by the ids that an execution gives them, and by the workflow that is open. */

import { app } from "../../../scripts/app.js";

export const root = () => app.rootGraph ?? app.graph;

export const drawnByVue = () => Boolean(globalThis.LiteGraph?.vueNodesMode);

/** The node of an execution id: `5`, or `12:5` for node 5 of the subgraph that node 12 is. */
export function nodeOf(id) {
    let graph = root(), node = null;
    for (const part of String(id).split(":")) {
        node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part);
        graph = node?.subgraph;
    }
    return node;
}

/** Every node of the open workflow, inside subgraphs too. */
export function* allNodes(graph = root()) {
    for (const node of graph?._nodes ?? []) {
        yield node;
        if (node.subgraph) yield* allNodes(node.subgraph);
    }
}

/** Let a function of a node, or of a widget, be followed by another. */
export function chain(owner, name, after) {
    const before = owner[name];
    owner[name] = function () {
        const made = before?.apply(this, arguments);
        after.apply(this, arguments);
        return made;
    };
}
