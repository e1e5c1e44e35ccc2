// What the browser keeps: the session for this tab, name and address for this device. Never a code.

/** `{ token }` */
export const session = kept('sessionStorage', 'plume.session');
/** `{ name, email }` */
export const person = kept('localStorage', 'plume.person');

function kept(store, key) {
  let held = null;
  try {
    held = JSON.parse(window[store].getItem(key));
  } catch {
    // Forbidden: then `held` lasts until the next reload.
  }
  return {
    get: () => held ?? {},
    set(value) {
      held = value;
      try {
        window[store].setItem(key, JSON.stringify(value));
      } catch {
        // As above.
      }
    },
  };
}
