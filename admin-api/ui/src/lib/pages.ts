/** The pages of the navigation, the letter that goes to each after `g`, and its code. What is seen first comes with the
 *  app; the code of another page comes when it is first opened. */
import Activity from "@lucide/svelte/icons/activity";
import Anchor from "@lucide/svelte/icons/anchor";
import CalendarClock from "@lucide/svelte/icons/calendar-clock";
import KeyRound from "@lucide/svelte/icons/key-round";
import LayoutDashboard from "@lucide/svelte/icons/layout-dashboard";
import Library from "@lucide/svelte/icons/library";
import ListChecks from "@lucide/svelte/icons/list-checks";
import Package from "@lucide/svelte/icons/package";
import Plug from "@lucide/svelte/icons/plug";
import Route from "@lucide/svelte/icons/route";
import Settings from "@lucide/svelte/icons/settings";
import Table2 from "@lucide/svelte/icons/table-2";
import Users from "@lucide/svelte/icons/users";
import Waypoints from "@lucide/svelte/icons/waypoints";
import type { Component } from "svelte";
import Overview from "../pages/Overview.svelte";

export interface Page {
  name: string;
  path: string[];
  letter: string;
  icon: Component<{ size?: number | string }>;
  load: () => Promise<{ default: Component }>;
  /** First parts of other addresses that it shows. */
  also?: string[];
}

export const pages: Page[] = [
  { name: "Overview", path: [], letter: "o", icon: LayoutDashboard, load: async () => ({ default: Overview }) },
  { name: "Gateways", path: ["gateways"], letter: "g", icon: Waypoints, load: () => import("../pages/Gateways.svelte"), also: ["events"] },
  { name: "Runs", path: ["runs"], letter: "r", icon: Activity, load: () => import("../pages/Runs.svelte") },
  { name: "Sockets", path: ["sockets"], letter: "s", icon: Plug, load: () => import("../pages/Sockets.svelte") },
  { name: "Tables", path: ["tables"], letter: "t", icon: Table2, load: () => import("../pages/Tables.svelte") },
  { name: "Routes", path: ["routes"], letter: "e", icon: Route, load: () => import("../pages/Routes.svelte") },
  { name: "Hooks", path: ["hooks"], letter: "h", icon: Anchor, load: () => import("../pages/Hooks.svelte") },
  { name: "Libraries", path: ["libraries"], letter: "l", icon: Library, load: () => import("../pages/Libraries.svelte") },
  { name: "Jobs", path: ["jobs"], letter: "j", icon: ListChecks, load: () => import("../pages/Jobs.svelte") },
  { name: "Schedules", path: ["schedules"], letter: "c", icon: CalendarClock, load: () => import("../pages/Schedules.svelte") },
  { name: "Users", path: ["users"], letter: "u", icon: Users, load: () => import("../pages/Users.svelte") },
  { name: "App keys", path: ["app-keys"], letter: "k", icon: KeyRound, load: () => import("../pages/AppKeys.svelte") },
  { name: "Packs", path: ["packs"], letter: "p", icon: Package, load: () => import("../pages/Packs.svelte") },
  { name: "Settings", path: ["settings"], letter: ",", icon: Settings, load: () => import("../pages/Settings.svelte") },
];

/** The page that shows an address, by its first part. */
export function pageOf(first: string | undefined): Page | undefined {
  return pages.find(({ path, also }) => path[0] === first || (first !== undefined && also?.includes(first)));
}
