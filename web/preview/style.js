/** Style of the player: the colours of ComfyUI's theme, and black around the image. */

export const STYLE = `
.stereoreel { display: flex; flex-direction: column; gap: 6px; width: 100%; height: 100%; box-sizing: border-box; padding: 4px;
    font: 12px/1.3 Inter, system-ui, sans-serif; color: var(--input-text, #ddd); user-select: none; }
.stereoreel .screen { position: relative; flex: 1 0 auto; aspect-ratio: 16 / 9; background: #000; border-radius: 6px; overflow: hidden; }
.stereoreel canvas { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }
.stereoreel .note { position: absolute; left: 50%; top: 50%; transform: translate(-50%, -50%); max-width: 90%; padding: 6px 12px; border-radius: 6px;
    background: rgb(0 0 0 / 70%); color: #ddd; text-align: center; }
.stereoreel .share { position: absolute; left: 0; bottom: 0; height: 3px; width: 0; background: var(--p-primary-color, #5b9bf5); }
.stereoreel .row { display: flex; flex: none; align-items: center; gap: 4px; }
.stereoreel .row > input, .stereoreel .gap { flex: 1 1 0; min-width: 0; }
.stereoreel label { display: flex; flex: 1 1 0; align-items: center; gap: 4px; min-width: 0; }
.stereoreel input { flex: 1 1 0; min-width: 24px; width: 0; height: 16px; margin: 0; accent-color: var(--p-primary-color, #5b9bf5); cursor: pointer; }
.stereoreel output { flex: none; min-width: 4em; text-align: right; font-variant-numeric: tabular-nums; opacity: 0.8; }
.stereoreel label output { min-width: 2.9em; }
.stereoreel button { flex: none; padding: 3px 6px; border: 1px solid var(--border-color, #4e4e4e); border-radius: 5px; font: inherit; cursor: pointer;
    background: var(--comfy-input-bg, #222); color: inherit; }
.stereoreel button:hover:enabled { border-color: var(--input-text, #ddd); }
.stereoreel button[aria-pressed="true"] { background: var(--p-primary-color, #5b9bf5); border-color: transparent; color: #fff; }
.stereoreel button:disabled { opacity: 0.35; cursor: default; }
.stereoreel [hidden] { display: none; }
.stereoreel:fullscreen { padding: 12px 16px; gap: 10px; background: #111; font-size: 16px; }
.stereoreel:fullscreen .screen { flex: 1 1 0; min-height: 0; aspect-ratio: auto !important; }
`;
