/** Advanced widgets wait behind a button, so that a node shows first what most people need. */

import { app } from "../../scripts/app.js";

const SHOW = "Show advanced", HIDE = "Hide advanced";

/** Names and defaults of the advanced widgets of a node. */
function advanced(definition) {
    const inputs = { ...definition.input?.required, ...definition.input?.optional };
    return new Map(Object.entries(inputs).filter(([, [, facts]]) => facts?.advanced).map(([name, [, facts]]) => [name, facts.default]));
}

const drawnByVue = () => Boolean(globalThis.LiteGraph?.vueNodesMode); // there the canvas has a button of its own

function set(node, defaults, button, open) {
    const linked = (name) => node.inputs?.some((input) => input.widget?.name === name && input.link != null); // its socket stays
    node.showAdvanced = open;
    for (const widget of node.widgets) if (defaults.has(widget.name)) widget.hidden = !open && !linked(widget.name) && !drawnByVue();
    button.label = open ? HIDE : SHOW;
    button.hidden = drawnByVue();
    node.setSize([node.size[0], node.computeSize()[1]]);
    node.setDirtyCanvas?.(true, true);
}

app.registerExtension({
    name: "StereoReel.Advanced",
    beforeRegisterNodeDef(type, definition) {
        const defaults = definition.name.startsWith("StereoReel") ? advanced(definition) : new Map();
        if (!defaults.size) return;
        const created = type.prototype.onNodeCreated, configured = type.prototype.onConfigure;
        type.prototype.onNodeCreated = function () {
            const made = created?.apply(this, arguments);
            const button = this.addWidget("button", SHOW, null, () => set(this, defaults, button, !this.showAdvanced), { serialize: false });
            button.serialize = false;
            this.stereoreelAdvanced = button;
            set(this, defaults, button, false);
            return made;
        };
        type.prototype.onConfigure = function () {
            const made = configured?.apply(this, arguments);
            const changed = this.widgets.some((widget) => defaults.has(widget.name) && widget.value !== defaults.get(widget.name));
            set(this, defaults, this.stereoreelAdvanced, changed); // what somebody changed is not hidden from them
            return made;
        };
    },
});
