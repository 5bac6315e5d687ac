// Elements of the page by id, and new ones.

export const find = (id) => document.getElementById(id);

// An element with properties and children; text is text, never markup.
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
