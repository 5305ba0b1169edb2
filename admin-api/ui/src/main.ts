import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { apply } from "./lib/preferences.svelte";

apply();
mount(App, { target: document.getElementById("app")! });
