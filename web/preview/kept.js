/** The last results of nodes in this tab's storage, so that a node shows its own again after the page was reloaded. */

import { api } from "../../../scripts/api.js";

const STORE = "StereoReel.results", MOST = 200; // nodes

export function stored() {
    try {
        return JSON.parse(sessionStorage.getItem(STORE)) ?? {};
    } catch {
        return {};
    }
}

/** Keep a node's files under a key, and forget the oldest of too many. */
export function store(key, files) {
    const others = Object.entries(stored()).filter(([other]) => other !== key).slice(1 - MOST);
    try {
        sessionStorage.setItem(STORE, JSON.stringify(Object.fromEntries([...others, [key, files]])));
    } catch {
        // the storage is full or forbidden: then a reload forgets
    }
}

export const viewOf = (file, more = {}) => `/view?${new URLSearchParams({ ...file.view, ...more })}`;

/** Whether a file is still there, and the same. */
async function exists(file) {
    if (!file.view) return true; // a line of text alone
    const answer = await api.fetchApi(viewOf(file), { method: "HEAD", cache: "no-store" }).catch(() => null);
    const length = answer?.headers.get("content-length");
    return Boolean(answer?.ok) && (length == null || file.bytes == null || Number(length) === file.bytes);
}

/** The files that are still there. */
export async function existing(files) {
    const there = await Promise.all(files.map(exists));
    return files.filter((_, place) => there[place]);
}

/** The results of this page's last runs that the server knows, oldest first: `[node id, files]`. */
export async function finished(key, runs = 8) {
    const answer = await api.fetchApi(`/history?max_items=${runs}`).catch(() => null);
    const history = answer?.ok ? Object.values(await answer.json()) : [];
    const client = api.clientId ?? api.initialClientId; // the second one until the server has answered
    const own = history.filter((run) => client && run.prompt?.[3]?.client_id === client);
    return own.flatMap((run) => Object.entries(run.outputs ?? {})).filter(([, output]) => output[key]?.length)
        .map(([id, output]) => [id, output[key]]);
}
