/** An element of the page with attributes, listeners (`onclick`), and children. */
export function make(name, facts = {}, ...children) {
    const element = Object.assign(document.createElement(name), facts);
    element.append(...children);
    return element;
}
