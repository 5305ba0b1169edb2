import { computed, createApp, defineComponent, ref, watch } from "vue";
import { useCall, useConnection, useEvent, useKeep } from "gatewright/vue";
import { chat, type Message } from "./chat.js";

const Room = defineComponent({
  props: { roomId: { type: String, required: true } },
  setup(props) {
    const messages = ref<Message[]>([]);
    const text = ref("");
    const joined = useKeep(chat, "joinRoom", () => ({ roomId: props.roomId }));
    const sent = useCall(chat, "message");

    useEvent(chat, "newMessage", (message) => messages.value.push(message));
    // What was said before, or while the connection was away.
    watch(joined.result, async (isIn) => {
      if (isIn) messages.value = await chat.call("history", { roomId: props.roomId });
    });

    const send = () => sent.call({ roomId: props.roomId, text: text.value }).then(() => (text.value = ""), () => {});
    const error = computed(() => joined.error.value ?? sent.error.value);
    return { error, isPending: sent.isPending, messages, send, state: useConnection(chat), text };
  },
  template: `
    <p>{{ state }}</p>
    <ul><li v-for="message in messages" :key="message.id">{{ message.userId }}: {{ message.text }}</li></ul>
    <form @submit.prevent="send">
      <input aria-label="Message" v-model="text" required />
      <button :disabled="isPending">Send</button>
    </form>
    <p v-if="error" role="alert">{{ error.message }}</p>`,
});

createApp(Room, { roomId: "lobby" }).mount("#app");
