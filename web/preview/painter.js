/** Draws one frame: a view, or both as an anaglyph, with a depth overlay. Uses WebGL, or 2D canvas without it. */

// Red, green and blue of each view's share; E. Dubois, ICASSP 2001; for linear light.
const DUBOIS = [
    [[0.437, 0.449, 0.164], [-0.062, -0.062, -0.024], [-0.048, -0.05, -0.017]],
    [[-0.011, -0.032, -0.007], [0.377, 0.761, 0.009], [-0.026, -0.093, 1.234]],
];
export const LEFT = 0, RIGHT = 1, ANAGLYPH = 2;
export const FLAT = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
const NAMES = ["left", "right", "depth"];

const VERTEX = `
attribute vec2 corner;
uniform mat4 place;
varying vec2 at;
void main() { at = corner * 0.5 + 0.5; gl_Position = place * vec4(corner, 0.0, 1.0); }`;

const rows = (matrix) => `vec3(${matrix.map((row) => `dot(vec3(${row.map((share) => share.toFixed(3))}), light)`)})`;
const FRAGMENT = `
#ifdef GL_FRAGMENT_PRECISION_HIGH
precision highp float;
#else
precision mediump float;
#endif
varying vec2 at;
uniform sampler2D left, right, depth;
uniform float shift, overlay;
uniform int eye;
vec3 seen(sampler2D picture, float aside) {
    vec2 point = at + vec2(aside, 0.0);
    vec3 color = mix(texture2D(picture, point).rgb, texture2D(depth, point).rgb, overlay);
    return point.x < 0.0 || point.x > 1.0 ? vec3(0.0) : color;
}
vec3 linear(vec3 color) { return mix(color / 12.92, pow((color + 0.055) / 1.055, vec3(2.4)), step(0.04045, color)); }
vec3 srgb(vec3 light) { return mix(light * 12.92, 1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, light)); }
vec3 ofLeft(vec3 light) { return ${rows(DUBOIS[0])}; }
vec3 ofRight(vec3 light) { return ${rows(DUBOIS[1])}; }
void main() {
    vec3 one = seen(left, -0.5 * shift), other = seen(right, 0.5 * shift);
    vec3 both = srgb(clamp(ofLeft(linear(one)) + ofRight(linear(other)), 0.0, 1.0));
    gl_FragColor = vec4(eye == ${ANAGLYPH} ? both : eye == ${RIGHT} ? other : one, 1.0);
}`;

/** Draws into a WebGL context; throws an Error if the context does not support it. */
export class Painter {
    constructor(gl) {
        this.gl = gl;
        const program = (this.program = gl.createProgram());
        for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
            const shader = gl.createShader(kind);
            gl.shaderSource(shader, text);
            gl.compileShader(shader);
            gl.attachShader(program, shader);
        }
        gl.bindAttribLocation(program, 0, "corner");
        gl.linkProgram(program);
        if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`WebGL: ${gl.getProgramInfoLog(program)}`);
        gl.useProgram(program);
        gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
        gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
        gl.enableVertexAttribArray(0);
        gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
        gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true);
        this.held = NAMES.map((name, unit) => this._texture(name, unit));
    }

    _texture(name, unit) {
        const gl = this.gl;
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
        for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
        for (const size of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, size, gl.LINEAR);
        gl.uniform1i(this._uniform(name), unit);
        return null; // the image in the texture
    }

    _uniform(name) {
        return this.gl.getUniformLocation(this.program, name);
    }

    /** Draw `pictures` (left, and perhaps right and depth) into the viewport, as `eye`; `place` is a 4x4 matrix, columns first. */
    draw(pictures, { eye = LEFT, shift = 0, overlay = 0, place = FLAT } = {}) {
        const gl = this.gl;
        for (const [unit, picture] of [pictures.left, pictures.right ?? pictures.left, pictures.depth ?? pictures.left].entries()) {
            if (this.held[unit] === picture) continue;
            gl.activeTexture(gl.TEXTURE0 + unit);
            gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, picture);
            this.held[unit] = picture;
        }
        gl.uniformMatrix4fv(this._uniform("place"), false, place);
        gl.uniform1f(this._uniform("shift"), shift);
        gl.uniform1f(this._uniform("overlay"), pictures.depth ? overlay : 0);
        gl.uniform1i(this._uniform("eye"), eye);
        gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
}

let shared; // one context draws for all nodes, because browsers allow few; null without WebGL

function sharedPainter() {
    if (shared === undefined || shared?.gl.isContextLost()) {
        const gl = document.createElement("canvas").getContext("webgl", { preserveDrawingBuffer: true });
        shared = gl ? new Painter(gl) : null;
    }
    return shared;
}

/** Draw one view or the anaglyph of `pictures` into a 2D context, at `x`, in the images' size. */
export function paint(context, pictures, view, x = 0, painter = sharedPainter()) {
    const { naturalWidth: width, naturalHeight: height } = pictures.left;
    if (!painter) return plainly(context, pictures, view, x);
    const canvas = painter.gl.canvas;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    painter.gl.viewport(0, 0, width, height);
    painter.draw(pictures, view);
    context.drawImage(canvas, x, 0);
}

/** The same without WebGL. */
export function plainly(context, pictures, { eye = LEFT, shift = 0, overlay = 0 }, x = 0) {
    const { naturalWidth: width, naturalHeight: height } = pictures.left;
    const one = (which) => {
        const canvas = Object.assign(document.createElement("canvas"), { width, height });
        const inside = canvas.getContext("2d");
        const aside = (which === RIGHT ? -0.5 : 0.5) * shift * width;
        inside.fillRect(0, 0, width, height);
        inside.drawImage((which === RIGHT && pictures.right) || pictures.left, aside, 0, width, height);
        inside.globalAlpha = pictures.depth ? overlay : 0;
        if (pictures.depth) inside.drawImage(pictures.depth, aside, 0, width, height);
        return inside;
    };
    if (eye !== ANAGLYPH) return context.drawImage(one(eye).canvas, x, 0);
    const [left, right] = [one(LEFT), one(RIGHT)].map((inside) => inside.getImageData(0, 0, width, height));
    mix(left.data, right.data);
    context.putImageData(left, x, 0);
}

const LIGHT = Float32Array.from({ length: 256 }, (_, level) => {
    const color = level / 255;
    return color <= 0.04045 ? color / 12.92 : ((color + 0.055) / 1.055) ** 2.4;
});
const LEVELS = Uint8ClampedArray.from({ length: 4096 }, (_, place) => {
    const light = place / 4095;
    return 255 * (light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055);
});

/** Turn the left view's pixels into the anaglyph of both. */
function mix(left, right) {
    for (let at = 0; at < left.length; at += 4) {
        const light = [0, 0, 0];
        for (const [eye, pixels] of [left, right].entries())
            for (let row = 0; row < 3; row++)
                for (let part = 0; part < 3; part++) light[row] += DUBOIS[eye][row][part] * LIGHT[pixels[at + part]];
        for (let row = 0; row < 3; row++) left[at + row] = LEVELS[Math.round(4095 * Math.min(1, Math.max(0, light[row])))];
    }
}
