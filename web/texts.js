/** The texts of the lines about models and of the advanced switch. Names in braces are filled in by `say`. */

export const TEXTS = {
    showAdvanced: "Show advanced",
    hideAdvanced: "Hide advanced",
    editPlan: "Edit the shots in Stereo Pair",
    worded: "{label}: {word}", // Nodes 2.0 shows the number itself, so the label says what it means

    runs: "Runs {model} ({license}).",
    runsBuiltin: "Runs {model}: {brief}.",
    runsOwn: "Runs {model}.",
    ran: "Ran {model} ({license}).",
    ranBuiltin: "Ran {model}: {brief}.",
    ranOwn: "Ran {model}.",
    downloads: "Downloads {model} ({license}, {size}) when the graph runs.",
    given: "No model runs: the input replaces it.",
    absent: "{model} is not on this machine.",
    unable: "{model} cannot run here: it needs {lacking}.",
    faulty: "{model} cannot run: {fault}.",

    several: "{widget}: {text}", // a node that runs several models

    offer: "Fetch {model} ({license}, {size})",
    ask: "Fetch {model}?",
    askText: "The weights are downloaded once, by the ComfyUI server.",
    askLicense: "Licence: {license}",
    askBound: "Licence: {license}, not for commercial use",
    askSize: "Size: {size}",
    askSource: "From: {source}",
    askFolder: "Into: {folder}",
    starting: "Connecting …",
    progress: "{done} of {total} MB",
    cancel: "Cancel",
    unreachable: "ComfyUI does not answer.",
};

export const say = (key, values = {}) => TEXTS[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
