/** The dashboard's beginning. */

import { render } from "preact";
import { App } from "./app";
import { watchUse } from "./store/activity";
import { keepHistory } from "./store/history";
import { followAddress } from "./store/place";
import { resume } from "./store/session";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import "./styles/pages.css";
import "./styles/knowledge.css";

followAddress();
keepHistory();
watchUse();
void resume();
const root = document.getElementById("app");
if (root) render(<App />, root);
