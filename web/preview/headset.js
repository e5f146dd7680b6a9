/** The images in a headset, through the browser's WebXR: a virtual screen with an image for each eye. */

import { LEFT, Painter, RIGHT } from "./painter.js";

export const SCREEN = 2.3, AWAY = 2; // metres: the width of the screen and its distance, as for Stereo's "vr headset"

export const supported = async () => !!(await navigator.xr?.isSessionSupported("immersive-vr").catch(() => false));

/** The product of two 4x4 matrices, columns first. */
export function times(a, b) {
    const made = new Float32Array(16);
    for (let column = 0; column < 4; column++)
        for (let row = 0; row < 4; row++)
            for (let part = 0; part < 4; part++) made[4 * column + row] += a[4 * part + row] * b[4 * column + part];
    return made;
}

/** The screen's placement: a square of -1..1 scaled to the screen's width and the images' shape, in front of the viewer. */
export function standing(picture) {
    const half = SCREEN / 2;
    return [half, 0, 0, 0, 0, (half * picture.naturalHeight) / picture.naturalWidth, 0, 0, 0, 0, 1, 0, 0, 0, -AWAY, 1];
}

/** Draw the screen for each eye; `views` and `viewport` come from WebXR. */
export function drawEyes(painter, views, viewport, pictures, view) {
    const gl = painter.gl;
    gl.clearColor(0, 0, 0, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    for (const one of views) {
        const { x, y, width, height } = viewport(one);
        gl.viewport(x, y, width, height);
        const place = times(times(one.projectionMatrix, one.transform.inverse.matrix), standing(pictures.left));
        painter.draw(pictures, { ...view, eye: one.eye === "right" ? RIGHT : LEFT, place });
    }
}

/** Open the headset; `current` returns `{pictures, view}` for every frame, the trigger calls `next`. Resolves when the session ends. */
export async function enter(current, next) {
    const session = await navigator.xr.requestSession("immersive-vr", { optionalFeatures: ["local"] });
    try {
        const gl = document.createElement("canvas").getContext("webgl", { xrCompatible: true });
        await gl.makeXRCompatible();
        const painter = new Painter(gl), layer = new XRWebGLLayer(session, gl);
        session.updateRenderState({ baseLayer: layer });
        const space = await session.requestReferenceSpace("local").catch(() => session.requestReferenceSpace("viewer"));
        const draw = (_, frame) => {
            session.requestAnimationFrame(draw);
            const pose = frame.getViewerPose(space), { pictures, view } = current();
            if (!pose || !pictures) return;
            gl.bindFramebuffer(gl.FRAMEBUFFER, layer.framebuffer);
            drawEyes(painter, pose.views, (one) => layer.getViewport(one), pictures, view);
        };
        session.addEventListener("select", next);
        session.addEventListener("squeeze", () => session.end());
        session.requestAnimationFrame(draw);
    } catch (error) {
        await session.end();
        throw error;
    }
    await new Promise((ended) => session.addEventListener("end", ended));
}
