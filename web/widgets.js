/** A node shows first what most people need: the rest waits behind one switch, and what has no effect is not shown. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { catalogue } from "./node/catalogue.js";
import { linesOf } from "./node/line.js";
import { allNodes, chain, drawnByVue, nodeOf, root } from "./node/place.js";
import { say } from "./texts.js";

const ALWAYS = "Comfy.Node.AlwaysShowAdvancedWidgets", VUE = "Comfy.VueNodes.Enabled";
const GIVEN = "given";
const ran = new Map(); // workflow and execution id of a node -> {kind, model, why}: what its last run used

/** Name -> facts of the widgets of a node, from its definition. */
function factsOf(definition) {
    const inputs = Object.entries({ ...definition.input?.required, ...definition.input?.optional });
    return new Map(inputs.filter(([, spec]) => spec[1]?.default !== undefined).map(([name, [, { default: usual, advanced = false, stereoreel = {} }]]) =>
        [name, { usual, advanced, ...stereoreel }]));
}

const always = () => Boolean(app.extensionManager?.setting?.get?.(ALWAYS));
const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name);
const linked = (node, name) => node.inputs?.some((input) => (input.widget?.name ?? input.name) === name && input.link != null);

/** The model widgets of a node, each with what decides about its model. */
function* models(node, facts) {
    for (const [name, { kind, instead }] of facts) {
        if (!kind || !matters(node, facts, name)) continue;
        const live = !!String(widgetOf(node, "live")?.value ?? "").trim(), download = widgetOf(node, "download")?.value === true;
        yield { widget: name, kind, model: widgetOf(node, name)?.value, live, download, given: !!instead && linked(node, instead) };
    }
}

function archOf(node, facts) {
    const [own] = models(node, facts);
    return own?.given ? GIVEN : own ? catalogue.arch(own.kind, own.model, own) : "";
}

/** Whether a widget has an effect, with the values that the others have. */
function matters(node, facts, name) {
    const { only } = facts.get(name);
    if (!only) return true;
    const [other, values] = only;
    if (other === "model") return values.includes(archOf(node, facts));
    if (linked(node, other)) return true;
    const value = widgetOf(node, other)?.value;
    return values.length ? values.includes(String(value)) : value !== facts.get(other)?.usual;
}

/** Set what both node styles go by; `options.hidden` is what Nodes 2.0 read up to 1.45. */
function hide(widget, hidden) {
    for (const control of widget.linkedWidgets ?? []) hide(control, hidden); // what happens to a number after a run
    const changed = Boolean(widget.options?.hidden) !== hidden || Boolean(widget.hidden) !== hidden;
    widget.hidden = hidden;
    if (widget.options) widget.options.hidden = hidden;
    return changed;
}

/** What the host's own switch in Nodes 2.0 folds; `widget.advanced` keeps its space out of the node's size. */
function fold(widget, advanced) {
    const changed = Boolean(widget.options?.advanced) !== advanced;
    if (widget.options) widget.options.advanced = advanced;
    widget.advanced = advanced && drawnByVue();
    return changed;
}

/** Show the widgets that matter: the plain ones, those that were changed, and the others while the switch is on. Whether that changes anything. */
function arrange(node) {
    const { facts, button } = node.stereoreelWidgets, vue = drawnByVue(), open = node.showAdvanced || always();
    let changed = false, more = false;
    for (const [name, { advanced, usual }] of facts) {
        const widget = widgetOf(node, name);
        if (!widget) continue;
        const tied = linked(node, name), counts = tied || matters(node, facts, name), special = advanced && !tied && widget.value === usual;
        more ||= special && counts;
        changed = hide(widget, !counts || (special && !open && !vue)) || changed;
        changed = fold(widget, special && counts) || changed;
    }
    button.label = say(node.showAdvanced ? "hideAdvanced" : "showAdvanced");
    return hide(button, vue || always() || !more) || changed;
}

/** Nodes 2.0 read the widgets' options again when the list of widgets changes. */
function redraw(node) {
    if (drawnByVue()) node.widgets.splice(0, node.widgets.length, ...node.widgets.slice());
    fit(node);
}

function fit(node) {
    if (!drawnByVue()) node.setSize([node.size[0], node.computeSize()[1]]);
    node.setDirtyCanvas?.(true, true);
}

/** A number's default such as -1 reads as the word that it stands for: as the value in classic nodes, as part of the label in Nodes 2.0. */
function spell(widget, usual, text) {
    const label = widget.label ?? widget.name;
    for (let owner = Object.getPrototypeOf(widget), drawn; owner && !drawn; owner = Object.getPrototypeOf(owner)) {
        drawn = Object.getOwnPropertyDescriptor(owner, "_displayValue")?.get;
        if (drawn) Object.defineProperty(widget, "_displayValue", {
            configurable: true,
            get: () => (widget.value === usual && !widget.computedDisabled ? text : drawn.call(widget)),
        });
    }
    return () => {
        const before = widget.label;
        widget.label = drawnByVue() && widget.value === usual ? say("worded", { label, word: text }) : label;
        return widget.label !== before;
    };
}

function refresh(node) {
    const state = node.stereoreelWidgets;
    if (!state) return;
    const spoke = state.words.map((speak) => speak()).includes(true);
    if (arrange(node) || spoke) redraw(node);
    const last = ran.get(runOf(node)), shown = [...models(node, state.facts)];
    state.lines.forEach((line, at) => {
        const one = shown[at];
        line.element.hidden = !one;
        if (one) line.show({ ...one, ran: last?.kind === one.kind && last }, shown.length > 1);
    });
}

/** The key of a node's last run, if it is known. */
function runOf(node) {
    const open = `${root()?.id}/`;
    return [...ran.keys()].find((key) => key.startsWith(open) && nodeOf(key.slice(open.length)) === node);
}

const downloads = () => [...allNodes()].some((node) => node.stereoreelWidgets && widgetOf(node, "download")?.value === true);
const refreshAll = () => { for (const node of allNodes()) refresh(node); };

function equip(node, facts) {
    const kinds = [...facts.values()].filter(({ kind }) => kind).length;
    const update = () => refresh(node);
    const state = (node.stereoreelWidgets = { facts, words: [], lines: [] });
    node.stereoreelFit = () => fit(node);
    if (kinds) state.lines = linesOf(node, kinds, update);
    state.button = node.addWidget("button", say("showAdvanced"), null, () => node.toggleAdvanced(), { serialize: false });
    state.button.serialize = false;
    node.toggleAdvanced = () => {
        node.showAdvanced = !node.showAdvanced;
        arrange(node);
        redraw(node);
    };
    for (const [name, { usual, word: text, kind, counts }] of facts) {
        const widget = widgetOf(node, name);
        if (!widget) continue;
        if (counts) for (const control of widget.linkedWidgets ?? []) control.value = "fixed"; // the host's usual one is random
        if (text) state.words.push(spell(widget, usual, text));
        chain(widget, "callback", () => {
            if (kind) ran.delete(runOf(node));
            update();
        });
    }
    chain(node, "onConnectionsChange", update);
    chain(node, "onConfigure", () => {
        update();
        fit(node); // the file holds the height of what was shown when it was saved
    });
    update();
}

app.registerExtension({
    name: "StereoReel.Widgets",
    setup() {
        catalogue.addEventListener("change", refreshAll);
        catalogue.addEventListener("fetched", () => ran.clear());
        catalogue.load();
        api.addEventListener("reconnected", () => catalogue.load()); // a restarted server has no download
        api.addEventListener("stereoreel.fetch", ({ detail }) => catalogue.progressed(detail));
        api.addEventListener("stereoreel.model", ({ detail }) => {
            const { node, workflow, ...facts } = detail;
            ran.set(`${workflow ?? root()?.id}/${node}`, facts);
            const shown = (workflow ?? root()?.id) === root()?.id && nodeOf(node);
            if (shown) refresh(shown);
        });
        api.addEventListener("execution_success", () => downloads() && catalogue.load()); // weights that the run brought
        for (const setting of [ALWAYS, VUE]) app.ui?.settings?.addEventListener?.(`${setting}.change`, () => requestAnimationFrame(refreshAll));
    },
    beforeRegisterNodeDef(type, definition) {
        if (!definition.name.startsWith("StereoReel")) return;
        const facts = factsOf(definition);
        if (facts.size) chain(type.prototype, "onNodeCreated", function () { equip(this, facts); });
    },
    /** The Preview button comes last, whichever script has added its widgets first. */
    nodeCreated(node) {
        const at = node.stereoreelWidgets ? node.widgets.findIndex(({ type, name }) => type === "button" && name === "Preview") : -1;
        if (at >= 0 && at < node.widgets.length - 1) node.widgets.push(...node.widgets.splice(at, 1));
    },
    refreshComboInNodes: () => catalogue.load(),
    afterConfigureGraph: refreshAll,
});
