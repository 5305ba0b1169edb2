/** Who is signed in. The tokens are cookies that this page never sees. */
import { api, ask, Failure, type Schemas, whenSessionEnds } from "../api/client";
import { replace } from "./route.svelte";

type State = "unknown" | "out" | "in" | "unreachable";

export const session = $state({
  state: "unknown" as State,
  user: undefined as Schemas["OwnView"] | undefined,
  /** Why the sign-in page is shown, for who did not ask for it. */
  why: "",
});

whenSessionEnds(() => {
  if (session.state === "in") session.why = "Your session has ended. Sign in to go on where you were.";
  session.state = "out";
});

/** Finds out who is signed in; a code in the address signs in, once. */
export async function begin() {
  const code = location.hash.match(/^#code=([^&]+)$/)?.[1];
  // Nobody is to find it in the history.
  if (code) replace([]);
  try {
    if (code) await exchange(code);
    became(await ask(api.GET("/me")));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    session.state = error.status === 401 ? "out" : "unreachable";
  }
}

/** Whom a code does not sign in may be signed in already. */
async function exchange(code: string) {
  try {
    await ask(api.POST("/auth/exchange", { body: { code: decodeURIComponent(code) } }));
  } catch (error) {
    if (!(error instanceof Failure) || error.status === 0) throw error;
    session.why = `This link does not sign in: ${error.message}`;
  }
}

export async function signIn(email: string, password: string, remember: boolean) {
  became((await ask(api.POST("/auth/login", { body: { email, password, remember } }))).user);
}

export async function signOut() {
  await ask(api.POST("/auth/logout", { body: {} }));
  session.user = undefined;
  session.why = "";
  session.state = "out";
}

function became(user: Schemas["OwnView"]) {
  session.user = user;
  session.why = user.role === "admin" ? "" : `${user.email} is not an admin. Sign in as one.`;
  session.state = user.role === "admin" ? "in" : "out";
}
