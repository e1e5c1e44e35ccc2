// The doors to the document that all views share. Text goes in as textContent, and in no other way.

export const byId = (id) => document.getElementById(id);

export function element(tag, className = '', text = '') {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** In a `bdi`: a name in another script must not turn the line around it. */
export function nameNode(name) {
  const node = element('bdi', 'name', `@${name}`);
  node.style.setProperty('--hue', hueOf(name));
  return node;
}

/** One of ten colours as degrees, always the same for a name in any case (FNV-1a). */
export function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const char of name.toLowerCase()) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193) >>> 0;
  return (hash % 10) * 36;
}

export function onSubmit(form, then) {
  form.onsubmit = (event) => {
    event.preventDefault();
    then();
  };
}

/** However often it is called, `draw` runs once, in the next frame. */
export function framed(draw) {
  let isDue = false;
  const run = () => {
    isDue = false;
    draw();
  };
  return () => {
    if (isDue) return;
    isDue = true;
    // A page that nobody sees gets no frames.
    if (document.hidden) setTimeout(run, 250);
    else requestAnimationFrame(run);
  };
}
