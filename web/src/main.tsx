import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./app";
import { installTheme } from "./state/theme";
import "./styles.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
installTheme();
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
