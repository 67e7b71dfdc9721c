import { createStore } from "./store";

/** False from a request that did not reach the server until one that did. */
export const isConnected = createStore<boolean>(true);
