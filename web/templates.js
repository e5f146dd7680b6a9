/** The pack's templates in the order of their titles: the server lists them as its disk does. */

import { api } from "../../scripts/api.js";

const OURS = /stereo.?reel/i; // in each title

const listed = api.getWorkflowTemplates;
if (typeof listed === "function")
    api.getWorkflowTemplates = async function () {
        const packs = await listed.apply(this, arguments);
        for (const titles of Object.values(packs ?? {})) if (titles?.every?.((title) => OURS.test(title))) titles.sort();
        return packs;
    };
