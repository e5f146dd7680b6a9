/** The models on this machine, as the server knows them, and the download that runs. */

import { api } from "../../../scripts/api.js";
import { TEXTS } from "../texts.js";

const AUTO = "auto", FRESH = "builtin";
export const RUNNING = "running"; // the state of a download

class Catalogue extends EventTarget {
    kinds = {}; // empty until the server has answered
    download = null; // {kind, name, state, file, done, total, text} of the one that runs or ran last

    #asked = 0; // so that a late answer does not replace a newer one

    async load() {
        const asked = ++this.#asked, answer = await api.fetchApi("/stereoreel/models").catch(() => null);
        if (!answer?.ok) return;
        const { kinds, fetch } = await answer.json();
        if (asked !== this.#asked) return;
        Object.assign(this, { kinds, download: fetch });
        this.dispatchEvent(new Event("change"));
    }

    /** The model that runs for a chosen name: its facts, its name, and why auto takes it. */
    choice(kind, model, { live = false, download = false } = {}) {
        const known = this.kinds[kind], aim = live ? "live" : "quality";
        if (!known) return null;
        const name = model !== AUTO ? model : (download ? known.recommended : known.auto)[aim];
        const facts = known.models[name] ?? { title: name, brief: "", arch: known.own, license: "", missing: [] };
        const better = model === AUTO ? known.recommended[aim] : name;
        return { kind, name, ...facts, why: model === AUTO && !download ? known.why[aim] : "", better: { kind, name: better, ...known.models[better] } };
    }

    /** The arch that runs; `builtin`, as on a fresh machine, until the server has answered. */
    arch(kind, model, facts) {
        return this.choice(kind, model, facts)?.arch ?? FRESH;
    }

    /** Begin to fetch a model; the sentence that says why not, if it is refused. */
    async fetch(kind, name) {
        const asked = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ kind, name }) };
        try {
            const answer = await api.fetchApi("/stereoreel/fetch", asked);
            return answer.ok ? "" : ((await answer.json()).error ?? TEXTS.unreachable);
        } catch {
            return TEXTS.unreachable;
        }
    }

    cancel() {
        return api.fetchApi("/stereoreel/fetch", { method: "DELETE" }).catch(() => null);
    }

    progressed(download) {
        this.download = download;
        if (download.state === "done") this.dispatchEvent(new Event("fetched"));
        this.dispatchEvent(new Event("change"));
        if (download.state !== RUNNING) this.load();
    }
}

export const catalogue = new Catalogue();
