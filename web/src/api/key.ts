import { createStore } from "../state/store";

const NAME = "limpid-api-key";

/** The person's API key, empty without one. It lives as long as the tab, and nowhere else. */
export const apiKey = createStore<string>(sessionStorage.getItem(NAME) ?? "");

/** True while the server asks for a key that it has not been given. */
export const isKeyWanted = createStore<boolean>(false);

export function rememberKey(key: string): void {
  if (key === "") sessionStorage.removeItem(NAME);
  else sessionStorage.setItem(NAME, key);
  apiKey.set(key);
  isKeyWanted.set(false);
}

/** The header that proves who asks; none without a key. */
export function keyHeader(): Record<string, string> {
  const key = apiKey.get();
  return key === "" ? {} : { Authorization: `Bearer ${key}` };
}
