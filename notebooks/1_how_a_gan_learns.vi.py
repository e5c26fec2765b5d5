# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # GAN học như thế nào
#
# Một bài giảng về mạng đối nghịch tạo sinh (generative adversarial network, GAN) đưa ra năm khẳng định:
#
# 1. với bộ sinh cố định, bộ phân biệt tốt nhất là $p / (p + p_g)$;
# 2. giá trị của trò chơi nhỏ nhất, bằng $-\log 4$, khi mật độ sinh ra $p_g$ trùng với mật độ dữ liệu $p$;
# 3. tại đó $D = \tfrac12$ ở mọi nơi, và hàm mất mát của $D$ bằng $2 \log 2$;
# 4. các bước cập nhật luân phiên đi được đến đó;
# 5. không gian ẩn là trơn.
#
# Ở đây ta kiểm tra từng khẳng định với các điểm trên một đường thẳng, nơi $p$ và $p / (p + p_g)$ được biết chính xác. Cuối
# bài có ba bài tập. Sổ tay chạy khoảng một phút trên hai nhân CPU rảnh. Mã lệnh giống hệt bản tiếng Anh,
# `1_how_a_gan_learns`.
# [Mở trong Colab](https://colab.research.google.com/github/jaxgan/jaxgan/blob/main/notebooks/1_how_a_gan_learns.vi.ipynb).

# %%
try:
    import jaxgan
except ImportError:  # on Colab, or in any other environment without it
    # %pip install -q "jaxgan @ git+https://github.com/jaxgan/jaxgan"
    import jaxgan

# %%
import math
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from IPython.display import Markdown

from jaxgan import toy
from jaxgan.core import latents, losses, penalties, schedules
from jaxgan.nets import mlp

SMOKE = "JAXGAN_SMOKE" in os.environ  # the test suite's: a few steps, to see that every cell runs


def steps(count):
    return min(count, 50) if SMOKE else count


REAL, FAKE, D_COLOUR = "#666666", "#d6604d", "#2166ac"
plt.rcParams.update(
    {"figure.dpi": 100, "axes.grid": True, "grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False}
)

# %% [markdown]
# ## Trò chơi
#
# Bộ sinh $G$ biến nhiễu $z \sim N(0, 1)$ thành một điểm $G(z)$; mật độ của các điểm ấy là $p_g$. Bộ phân biệt
# $D(x) \in (0, 1)$ cho biết nó tin $x$ là thật đến mức nào. $D$ muốn giá trị
#
# $$V(D, G) = \mathbb{E}_{x \sim p}[\log D(x)] + \mathbb{E}_{z}[\log(1 - D(G(z)))]$$
#
# thật lớn, còn $G$ muốn nó thật nhỏ. $D$ là một mạng trả về một *logit* $l(x)$, và $D(x) = \sigma(l(x))$ với hàm sigmoid
# $\sigma(l) = 1 / (1 + e^{-l})$.
#
# Cả ba trong một hình vẽ. Nhiễu trở thành một điểm; $D$ được cho xem điểm ấy hoặc một điểm thật, mà không được báo trước đó là
# điểm nào:

# %%
figure, axes = plt.subplots(figsize=(8, 2.2), layout="constrained")
box = {"boxstyle": "round,pad=0.5", "fc": "white", "lw": 1.5}
for name, place, colour in (
    ("noise $z$", (0, 1), "black"),
    ("$G$", (2, 1), FAKE),
    ("$G(z)$", (4, 1), FAKE),
    ("real $x$", (4, 0), REAL),
    ("$D$", (6, 0.5), D_COLOUR),
    ("$D(G(z))$ or $D(x)$,\nin $(0, 1)$", (8.2, 0.5), D_COLOUR),
):
    axes.text(*place, name, ha="center", va="center", bbox=box | {"ec": colour}, fontsize=12)
for start, end in (
    ((0.55, 1), (1.7, 1)),
    ((2.3, 1), (3.45, 1)),
    ((4.6, 0.95), (5.7, 0.6)),
    ((4.6, 0.05), (5.7, 0.4)),
    ((6.3, 0.5), (7.1, 0.5)),
):
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 1.5})
axes.set(xlim=(-0.8, 9.3), ylim=(-0.5, 1.5))
axes.set_axis_off()
plt.show()

# %% [markdown]
# Dữ liệu là hỗn hợp của hai phân phối Gauss. Cho đến mục về sự luân phiên, $G$ được giữ cố định, và các điểm của nó tuân theo
# một phân phối Gauss rộng. `LINE` là một lưới đều, trên đó kỳ vọng trở thành tổng.

# %%
DATA = toy.gaussian_mixture([-1.5, 1.5], sigma=0.5, weights=[0.4, 0.6])  # p
WIDE = toy.gaussian_mixture([0.5], sigma=1.2)  # p_g
LINE = toy.quadrature([-8.0], [8.0], 1_600)
HELD_OUT = 20_000
held_out = DATA.sample(jax.random.key(10), HELD_OUT)  # no training below sees these

for name, critic in {
    "D = 1/2 everywhere": lambda x: 0.0 * x[:, 0],
    "D = s(1 - x), a guess": lambda x: 1.0 - x[:, 0],
    "D = p / (p + p_g)": toy.optimal_logit(DATA, WIDE),
}.items():
    print(f"V = {toy.value_function(critic, DATA, WIDE, LINE):7.4f}   for {name}")
print(f"    {-math.log(4):7.4f}   is -log 4")

# %% [markdown]
# ## Bộ phân biệt tốt nhất
#
# Tại một điểm $x$, $D$ chọn một số $d$ sao cho $p(x) \log d + p_g(x) \log(1 - d)$ lớn nhất. Đạo hàm
# $p(x) / d - p_g(x) / (1 - d)$ bằng không tại
#
# $$D^*(x) = \frac{p(x)}{p(x) + p_g(x)}.$$
#
# $D$ không biết các mật độ. Nó chỉ thấy các mẫu, và đi xuống theo hàm mất mát của mình, tức $-V$ ước lượng trên một lô:
# `losses.non_saturating.d`, $-\log D(x) - \log(1 - D(G(z)))$. Một mạng nơ-ron có tìm ra đúng lời giải ấy không?

# %%
discriminator = jaxgan.from_linen(mlp.Discriminator(hidden=(64, 64)), jnp.zeros((1, 1)))
BATCH, D_STEPS = 256, steps(4_000)


def logit(params, x):
    return discriminator.apply(params, {}, x, None, jax.random.key(0), train=False)[0]


judge = jax.jit(logit)


def train_discriminator(draw_fake, key, count):
    """A new D against a fixed source of generated points; G plays no part."""
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, D_STEPS), b1=0.5)

    def loss(params, real, fake):
        return losses.non_saturating.d(logit(params, real), logit(params, fake)).mean()

    def step(i, carry):
        params, opt = carry
        real_key, fake_key = jax.random.split(jax.random.fold_in(key, i))
        grads = jax.grad(loss)(params, DATA.sample(real_key, BATCH), draw_fake(fake_key, BATCH))
        change, opt = optimizer.update(grads, opt)
        return optax.apply_updates(params, change), opt

    params, _ = discriminator.init(key)
    return jax.lax.fori_loop(0, count, step, (params, optimizer.init(params)))[0]


alone = jax.jit(lambda count: train_discriminator(WIDE.sample, jax.random.key(0), count))
stages = [count for count in (0, 30, 200) if count < D_STEPS] + [D_STEPS]
trained = [alone(count) for count in stages]

# %%
x = LINE.points
p, p_g = (np.exp(np.asarray(density.log_density(x))) for density in (DATA, WIDE))
exact = np.asarray(toy.optimal_discriminator(DATA, WIDE)(x))
has_mass = (p + p_g) / 2 > 0.01

figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained")
for i, (count, params) in enumerate(zip(stages, trained, strict=True)):
    curve = np.asarray(jax.nn.sigmoid(judge(params, x)))
    top.plot(x, curve, color=plt.cm.Blues(0.3 + 0.6 * i / (len(stages) - 1)), label=f"trained, {count:,} steps")
    print(f"{count:5,d} steps: mean |D - D*| where there is mass {np.abs(curve - exact)[has_mass].mean():.4f}")
top.plot(x, exact, color="black", ls="--", label="$D^* = p / (p + p_g)$, exact")
top.set(title="A discriminator trained alone finds the best answer", ylabel="$D(x)$, probability", ylim=(-0.03, 1.03))
fixed = WIDE.sample(jax.random.key(1), HELD_OUT)
for density, points, colour, name in ((p, held_out, REAL, "real, $p$"), (p_g, fixed, FAKE, "generated, $p_g$")):
    label = f"{HELD_OUT:,} samples"
    bottom.hist(np.asarray(points)[:, 0], bins=80, range=(-4, 5), density=True, color=colour, alpha=0.3, label=label)
    bottom.plot(x, density, color=colour, label=name)
bottom.set(title="The densities it has to tell apart", xlabel="$x$", ylabel="density", xlim=(-4, 5))
for axes in (top, bottom):
    axes.fill_between(
        x[:, 0],
        0,
        1,
        where=~has_mass,
        color="black",
        alpha=0.05,
        lw=0,
        transform=axes.get_xaxis_transform(),
        label="little mass",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
plt.show()

# %% [markdown]
# Ở những nơi cả hai mật độ đều gần như bằng không (vùng tô xám), $D$ chưa bao giờ bị hỏi, nên câu trả lời của nó ở đó không
# có ý nghĩa gì.
#
# ## Lời giải tốt nhất đáng giá bao nhiêu
#
# Thay $D^*$ vào $V$: với độ phân kỳ Jensen-Shannon
# $\mathrm{JS}(p, p_g) = \tfrac12 \mathrm{KL}(p \,\|\, m) + \tfrac12 \mathrm{KL}(p_g \,\|\, m)$ và $m = (p + p_g) / 2$, ta có
#
# $$\max_D V(D, G) = 2\,\mathrm{JS}(p, p_g) - \log 4 .$$
#
# Vậy khi đứng trước một $D$ hoàn hảo, $G$ cực tiểu hóa độ phân kỳ Jensen-Shannon. Nó chỉ bằng không khi $p_g = p$; lúc ấy
# $V = -\log 4$. Dưới đây, $p_g$ trượt ngang qua $p = N(0, 0.5^2)$ mà vẫn giữ nguyên độ rộng.

# %%
still = toy.gaussian_mixture([0.0], sigma=0.5)
shifts = np.linspace(-4.0, 4.0, 33)
moved = [toy.gaussian_mixture([shift], sigma=0.5) for shift in shifts]
values = np.array([toy.value_function(toy.optimal_logit(still, q), still, q, LINE) for q in moved])
divergences = np.array([toy.jensen_shannon(still, q, LINE) for q in moved])
print(f"largest difference between V(D*) and 2 JS - log 4: {np.abs(values - (2 * divergences - math.log(4))).max():.1e}")

figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
axes.plot(shifts, 2 * divergences - math.log(4), color=REAL, label=r"$2\,\mathrm{JS}(p, p_g) - \log 4$")
axes.plot(shifts, values, "o", color=D_COLOUR, ms=4, label="$V(D^*, G)$")
axes.axhline(-math.log(4), color="black", ls="--", lw=1, label=r"$-\log 4 = -1.386$, at $p_g = p$")
axes.axhline(0, color="black", ls=":", lw=1, label="0, nothing in common")
axes.set(title="The value of the game against the best discriminator", xlabel="shift of $p_g$ from $p$", ylabel="value, nats")
axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
plt.show()

# %% [markdown]
# Ở xa, đường cong nằm ngang: một $D$ hoàn hảo không để lại cho $G$ độ dốc nào để đi xuống. Đó chính là khó khăn của mục sau.
#
# ## Bộ sinh đi xuống theo hàm nào
#
# Trò chơi viết đúng nguyên văn thì $G$ đi xuống theo $\log(1 - D(G(z)))$, `losses.minimax.g`. Trong thực hành, nó đi xuống theo
# $-\log D(G(z))$, `losses.non_saturating.g`. Cả hai đều giảm khi $D(G(z))$ tăng; gọi $l$ là logit của một điểm sinh ra, độ dốc
# của chúng là
#
# $$\frac{\partial}{\partial l} \log(1 - \sigma(l)) = -\sigma(l), \qquad
# \frac{\partial}{\partial l}\bigl(-\log \sigma(l)\bigr) = -(1 - \sigma(l)).$$

# %%
logits = jnp.linspace(-8.0, 8.0, 200)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, loss, style in (("saturating, minimax", losses.minimax, "--"), ("non-saturating", losses.non_saturating, "-")):
    slope = jax.grad(lambda fake, loss=loss: loss.g(fake, fake).sum())(logits)
    left.plot(logits, loss.g(logits, logits), color=FAKE, ls=style, label=name)
    right.plot(logits, slope, color=FAKE, ls=style, label=name)
left.set(title="$G$'s loss", xlabel="logit $l$ of a generated point", ylabel="loss, nats")
right.set(title="and its slope", xlabel="logit $l$ of a generated point", ylabel="d loss / d logit")
for axes in (left, right):
    axes.axvspan(-8, -3, color="black", alpha=0.05, lw=0, label=r"$D$ is sure: generated")
    axes.axvline(0, color="black", lw=1, ls=":", label=r"$D = \frac{1}{2}$")
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
plt.show()

# %% [markdown]
# Lúc mới huấn luyện, việc của $D$ còn dễ nên nó rất chắc chắn: $l$ âm, có giá trị tuyệt đối lớn. Ở đó độ dốc của hàm bão hòa
# triệt tiêu ($-\sigma(l) \approx -e^{l}$), còn độ dốc của hàm kia đạt mức lớn nhất về độ lớn, $-1$. Tại $D = \tfrac12$ cả hai
# đều bằng $-\tfrac12$, và điểm cân bằng của hai hàm là như nhau.
#
# Khác biệt lớn đến đâu? Dưới đây là giá trị trung bình trên các điểm sinh ra, trước bộ phân biệt tốt nhất, khi $p_g$ mỗi lúc
# một xa dữ liệu:

# %%
rows = ["| shift | mean $D^*(G(z))$ | slope, saturating | slope, non-saturating |", "|---:|---:|---:|---:|"]
for shift in (0.0, 1.0, 2.0, 3.0, 4.0):
    q = toy.gaussian_mixture([shift], sigma=0.5)
    best = toy.optimal_logit(still, q)(LINE.points)
    means = [jax.nn.sigmoid(best)]
    means += [
        jax.grad(lambda fake, loss=loss: loss.g(fake, fake).sum())(best) for loss in (losses.minimax, losses.non_saturating)
    ]
    mass = jnp.exp(q.log_density(LINE.points)) * LINE.volume
    rows.append(f"| {shift:.0f} | " + " | ".join(f"{(mass * each).sum():.2g}" for each in means) + " |")
Markdown("\n".join(rows))

# %% [markdown]
# ## Chỉ riêng bộ sinh
#
# Nửa còn lại của trò chơi: bây giờ giữ $D$ cố định ở lời giải tốt nhất trước $p_g$ rộng trên kia, và chỉ một mình $G$ đi
# xuống theo $-\log D(G(z))$. Trong hàm mất mát này không có gì đòi hỏi sự đa dạng.

# %%
generator = jaxgan.from_linen(mlp.Generator(hidden=(64, 64), output_shape=(1,)), jnp.zeros((1, 1)))
FIXED_D = trained[-1]  # never updated below


def generate(params, z):
    return generator.apply(params, {}, z, None, jax.random.key(0), train=False)[0]


@jax.jit
def train_generator(count):
    optimizer = optax.adam(2e-3, b1=0.5)

    def loss(params, z):
        return losses.non_saturating.g(None, logit(FIXED_D, generate(params, z))).mean()

    def step(i, carry):
        params, opt = carry
        z = jax.random.normal(jax.random.fold_in(jax.random.key(2), i), (BATCH, 1))
        change, opt = optimizer.update(jax.grad(loss)(params, z), opt)
        return optax.apply_updates(params, change), opt

    params, _ = generator.init(jax.random.key(1))
    return jax.lax.fori_loop(0, count, step, (params, optimizer.init(params)))[0]


figure, panels = plt.subplots(1, 4, figsize=(12, 3), sharex=True, sharey=True, layout="constrained")
for axes, count in zip(panels, (0, 50, 200, 2_000), strict=True):
    made = np.asarray(generate(train_generator(steps(count)), jax.random.normal(jax.random.key(3), (HELD_OUT, 1))))[:, 0]
    axes.plot(x, p, color=REAL, label="$p$, real")
    axes.hist(made, bins=90, range=(-4, 4), density=True, color=FAKE, alpha=0.5, label="$p_g$")
    axes.plot(x, jax.nn.sigmoid(judge(FIXED_D, x)), color=D_COLOUR, label="$D(x)$, held fixed")
    axes.set(title=f"{count:,} steps of $G$", xlabel="$x$", xlim=(-4, 4), ylim=(0, 1.25))
    sure = float(jax.nn.sigmoid(judge(FIXED_D, jnp.asarray(made)[:, None])).mean())
    distance = np.abs(np.sort(np.asarray(held_out)[:, 0]) - np.sort(made)).mean()
    print(f"{count:5,d} steps: mean D(G(z)) {sure:.2f}, Wasserstein distance from the data {distance:.2f}")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
figure.suptitle("A generator trained alone runs to where D is largest (bars taller than 1.25 are cut)")
plt.show()

# %% [markdown]
# Các điểm leo lên hai đỉnh của $D$ rồi tụ lại ở đó. Ban đầu chúng lại gần dữ liệu hơn, rồi sau đó đi quá: $G$ đã trả lời đúng
# cái $D$ *này*, mà dữ liệu thì đâu phải hai mũi nhọn. Đến lượt $D$ phải đáp lại, và vì thế hai bên luân phiên nhau.
#
# ## Sự luân phiên
#
# Bây giờ cả hai cùng học. Một bước chính là Thuật toán 1 của Goodfellow và cộng sự (2014): $D$ đi xuống theo hàm mất mát của nó
# trong khi $G$ được giữ cố định, rồi $G$ đi xuống theo hàm của mình trong khi $D$ được giữ cố định. `jaxgan.make_gan` nhận hai
# mạng và một hàm mất mát, rồi tạo ra ba hàm thuần túy (pure function): `init`, `step`, `sample`. Hàm mất mát của $D$ được cộng
# thêm một số hạng phạt, R1 + R2: $\tfrac{\gamma}{2}\,|\partial l / \partial x|^2$ trên các điểm thật và các điểm sinh ra. Nó
# dùng để làm gì, ta sẽ thấy ở mục *Vì sao sự luân phiên có thể đi vòng tròn*.

# %%
G_STEPS = steps(4_000)
rate = schedules.cosine(2e-3, 1e-5, G_STEPS * BATCH)  # time is counted in samples shown


def adam():
    return schedules.scheduled(optax.adam, learning_rate=rate, b1=0.0, b2=0.99)


gan = jaxgan.make_gan(
    generator=generator,
    discriminator=discriminator,
    loss=losses.non_saturating,
    penalty=penalties.r1_r2,
    gamma=1.0,
    g_optimizer=adam(),
    d_optimizer=adam(),
    latent_dim=1,
    ema_half_life=0.0,  # show the generator that plays, not its average
)
KEY = jax.random.key(0)


@jax.jit
def play(state):
    def body(state, _):
        real = DATA.sample(jax.random.fold_in(jax.random.fold_in(KEY, 1), state.step), BATCH)
        return gan.step(state, {"image": real, "label": jnp.zeros(BATCH, jnp.int32)}, KEY)

    return jax.lax.scan(body, state, None, length=25)  # 25 steps in one program


sample = jax.jit(gan.sample, static_argnames="n")


def value_of(state):
    """V on points that were not trained on."""
    fake = sample(state.ema, jax.random.key(11), jnp.zeros(HELD_OUT, jnp.int32))
    return -float(losses.non_saturating.d(judge(state.d.params, held_out), judge(state.d.params, fake)).mean())


state = jax.jit(gan.init)(KEY)
snapshots, history = {0: state}, []
for count in range(25, G_STEPS + 1, 25):
    state, info = play(state)
    history.append(info)
    if count in (25, 75, 200, 800, G_STEPS):
        snapshots[count] = state
history = {name: np.concatenate([np.asarray(info[name]) for info in history]) for name in history[0]}

# %%
figure, panels = plt.subplots(2, 3, figsize=(11, 6), sharex=True, sharey=True, layout="constrained", squeeze=False)
for axes, (count, seen) in zip(panels.flat, snapshots.items(), strict=False):
    fake = np.asarray(sample(seen.ema, jax.random.key(12), jnp.zeros(HELD_OUT, jnp.int32)))[:, 0]
    axes.plot(x, p, color=REAL, label="$p$, real")
    axes.hist(fake, bins=90, range=(-4, 4), density=True, color=FAKE, alpha=0.5, label=f"$p_g$, {HELD_OUT:,} samples")
    axes.plot(x, jax.nn.sigmoid(judge(seen.d.params, x)), color=D_COLOUR, label="$D(x)$")
    axes.axhline(0.5, color=D_COLOUR, lw=0.8, ls="--", label=r"$\frac{1}{2}$")
    axes.set(title=f"step {count:,}: $V$ = {value_of(seen):.3f}", xlim=(-4, 4), ylim=(0, 1.25))
for axes in panels.flat[len(snapshots) :]:
    axes.set_axis_off()
for axes in panels[-1]:
    axes.set_xlabel("$x$")
for axes in panels[:, 0]:
    axes.set_ylabel("density, probability")
figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
figure.suptitle("The alternation, step by step (bars taller than 1.25 are cut)")
plt.show()

# %% [markdown]
# $D$ dâng lên ở nơi dữ liệu nhiều hơn điểm sinh ra; $G$ đẩy các điểm của nó lên theo sườn dốc ấy; chỗ nào nó đặt quá nhiều
# điểm, $D$ lại hạ xuống. (Dưới $-\log 4$ thì $D$ còn kém hơn luôn đoán $\tfrac12$: trọng số ban đầu của nó là ngẫu nhiên.)
#
# ## Điểm cân bằng
#
# Cuối cùng, $D$ phải không phân biệt nổi nữa. Trên những điểm mà chưa bước huấn luyện nào từng thấy:

# %%
fake = sample(state.ema, jax.random.key(11), jnp.zeros(HELD_OUT, jnp.int32))
verdicts = jax.nn.sigmoid(judge(state.d.params, jnp.concatenate([held_out, fake])))
value = value_of(state)
distance = float(jnp.abs(jnp.sort(held_out, axis=0) - jnp.sort(fake, axis=0)).mean())
floor = float(jnp.abs(jnp.sort(held_out, axis=0) - jnp.sort(DATA.sample(jax.random.key(13), HELD_OUT), axis=0)).mean())
Markdown(f"""
| on {HELD_OUT:,} held-out points | theory | reached | distance |
|---|---:|---:|---:|
| $D$'s loss | $2 \\log 2 = {2 * math.log(2):.4f}$ | {-value:.4f} | {abs(-value - 2 * math.log(2)):.4f} |
| value $V$ | $-\\log 4 = {-math.log(4):.4f}$ | {value:.4f} | {abs(value + math.log(4)):.4f} |
| mean $\\lvert D - \\frac12 \\rvert$ | 0 | {jnp.abs(verdicts - 0.5).mean():.4f} | {jnp.abs(verdicts - 0.5).mean():.4f} |
| Wasserstein distance of $p_g$ from $p$ | 0; perfect samples {floor:.4f} | {distance:.4f} | |
""")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
count = np.arange(1, len(history["d_loss"]) + 1)
left.plot(count, history["d_loss"], color=D_COLOUR, lw=0.8, label="$D$'s loss on its batch")
left.axhline(2 * math.log(2), color="black", ls="--", lw=1, label=r"$2 \log 2$")
left.set(title="$D$'s loss goes to $2 \\log 2$", ylabel="loss, nats")
right.plot(count, history["d_real"], color=REAL, lw=0.8, label="mean $D(x)$, real")
right.plot(count, history["d_fake"], color=FAKE, lw=0.8, label="mean $D(G(z))$, generated")
right.axhline(0.5, color="black", ls="--", lw=1, label=r"$\frac{1}{2}$")
right.set(title="and $D$ to $\\frac{1}{2}$ on both", ylabel="probability")
for axes in (left, right):
    axes.set_xscale("log")
    axes.set_xlabel("step (logarithmic)")
    axes.legend(fontsize=9)
plt.show()

# %% [markdown]
# Riêng $D = \tfrac12$ chưa chứng minh được bao nhiêu: một $D$ chưa học được gì cũng sẽ nói như vậy. Có hai phép thử không phụ
# thuộc vào $D$ này.
#
# *Một bộ phân biệt mới*, huấn luyện từ đầu trước bộ sinh $G$ đã học xong, với toàn bộ số bước dành riêng cho nó; và trước cả
# $G$ lúc ban đầu, để thấy rằng nó có khả năng phân biệt.
#
# *Độ phân kỳ Jensen-Shannon*, ước lượng bằng số. $p_g$ không có công thức, nhưng 2.000 mẫu của nó, mỗi mẫu được làm nhòe bằng
# một phân phối Gauss độ rộng $h$, hợp thành một hỗn hợp có công thức; $p$ làm nhòe với $h$ cũng có công thức. Các mẫu của
# chính $p$, được xử lý y như vậy, cho ta mức sàn.

# %%
newcomer = jax.jit(
    lambda state, key: train_discriminator(lambda k, n: gan.sample(state.ema, k, jnp.zeros(n, jnp.int32)), key, D_STEPS)
)
for name, seen in (("at the start", snapshots[0]), ("at the end", state)):
    params = newcomer(seen, jax.random.key(20))
    points = sample(seen.ema, jax.random.key(11), jnp.zeros(HELD_OUT, jnp.int32))
    loss = float(losses.non_saturating.d(judge(params, held_out), judge(params, points)).mean())
    print(f"a new D against G {name}: loss {loss:.4f}, 2 log 2 - loss = {2 * math.log(2) - loss:.4f}")

H = 0.1
blurred = toy.gaussian_mixture(DATA.centres, math.hypot(DATA.sigma, H), DATA.weights)
for name, points in {
    "G at the start": sample(snapshots[0].ema, jax.random.key(14), jnp.zeros(HELD_OUT, jnp.int32))[:2_000],
    "G at the end": sample(state.ema, jax.random.key(14), jnp.zeros(HELD_OUT, jnp.int32))[:2_000],
    "p itself, the floor": DATA.sample(jax.random.key(14), HELD_OUT)[:2_000],
}.items():
    found = toy.jensen_shannon(blurred, toy.gaussian_mixture(points, H), LINE)
    print(f"JS(p, p_g) of {name}: {found:.4f} nats, of at most log 2 = {math.log(2):.4f}")

# %% [markdown]
# ## Sau đó bỏ D đi
#
# Thứ được giữ lại là $G$: lấy mẫu $z$, và $G(z)$ là một điểm mới. `gan.sample` nhận trọng số của bộ sinh và một khóa ngẫu
# nhiên, không nhận gì của $D$ cả.

# %%
weights = state.ema  # G's alone
del state, snapshots  # and with them every D
print(np.asarray(sample(weights, jax.random.key(30), n=8))[:, 0].round(2))
print(f"G has {sum(each.size for each in jax.tree.leaves(weights)):,} numbers; p has mean 0.30, and these points", end=" ")
print(f"{np.asarray(sample(weights, jax.random.key(31), n=HELD_OUT)).mean():.2f}")

# %% [markdown]
# ## Bao nhiêu bước cho D, và hàm mất mát nào
#
# Thuật toán 1 cho $D$ đi $k$ bước ứng với mỗi bước của $G$, và hàm mất mát của $G$ ở đó là $\log(1 - D(G(z)))$, đúng nguyên
# văn trò chơi minimax. Cả hai lựa chọn đều là tham số: `disc_steps` và `loss`. Dưới đây là khoảng cách từ $p_g$ đến $p$ sau
# một số bước của $G$.

# %%
MARKS = [steps(count) for count in (100, 400, 2_000)]


def alternate(loss, *, k=1, gamma=1.0):
    """Trains a GAN anew; returns the Wasserstein distance of its points from the data at each mark, and V at the end."""
    game = jaxgan.make_gan(
        generator=generator,
        discriminator=discriminator,
        loss=loss,
        penalty=penalties.r1_r2,
        gamma=gamma,
        disc_steps=k,
        g_optimizer=adam(),
        d_optimizer=adam(),
        latent_dim=1,
        ema_half_life=0.0,
    )

    def play(i, state):
        real = DATA.sample(jax.random.fold_in(jax.random.fold_in(KEY, 1), i), k * BATCH)
        return game.step(state, {"image": real}, KEY)[0]

    advance = jax.jit(lambda state, start, end: jax.lax.fori_loop(start, end, play, state))
    state, made, found = game.init(KEY), 0, []
    for mark in MARKS:
        state, made = advance(state, made, mark), mark
        points = game.sample(state.ema, jax.random.key(11), n=HELD_OUT)
        found.append(float(jnp.abs(jnp.sort(held_out, axis=0) - jnp.sort(points, axis=0)).mean()))
    return found, -float(losses.non_saturating.d(judge(state.d.params, held_out), judge(state.d.params, points)).mean())


rows = [
    "| $G$ descends | $k$ | " + " | ".join(f"distance after {mark:,}" for mark in MARKS) + " | $V$ at the end |",
    "|---|---:|---:|---:|---:|---:|",
]
for name, loss, k in (
    ("$-\\log D(G(z))$, non-saturating", losses.non_saturating, 1),
    ("$-\\log D(G(z))$, non-saturating", losses.non_saturating, 5),
    ("$\\log(1 - D(G(z)))$, minimax", losses.minimax, 1),
    ("$\\log(1 - D(G(z)))$, minimax", losses.minimax, 5),
):
    found, value = alternate(loss, k=k)
    rows.append(f"| {name} | {k} | " + " | ".join(f"{each:.3f}" for each in found) + f" | {value:.3f} |")
Markdown("\n".join(rows))

# %% [markdown]
# Khi có số hạng phạt, ở đây cả hai hàm mất mát đều đi đến điểm cân bằng. Trên một đường thẳng, hai người chơi ngang sức: hiếm
# khi $D$ chắc chắn đến mức độ dốc minimax triệt tiêu. Với $k = 5$, ứng với mỗi bước của $G$, $D$ được thấy số điểm nhiều gấp
# năm; $D$ sắc hơn làm $G$ chậm lại lúc đầu, nhưng cuối cùng đưa $G$ đến gần hơn. Với ảnh, nơi $D$ thắng từ sớm, chính hàm không
# bão hòa giữ cho $G$ tiếp tục chuyển động.
#
# ## Vì sao sự luân phiên có thể đi vòng tròn
#
# Sự luân phiên đã hội tụ, nhưng đó không phải chuyện đương nhiên. GAN nhỏ nhất (Mescheder và cộng sự, 2018) có dữ liệu tại $0$,
# một bộ sinh tạo ra đúng một điểm $\theta$, và một bộ phân biệt có logit $l(x) = \psi x$. Điểm cân bằng là $\theta = \psi = 0$.
# Gần đó, hai người chơi cùng đi xuống một lúc chuyển động như một hệ tuyến tính $\dot{u} = A u$ với $u = (\theta, \psi)$: họ
# hội tụ nếu cả hai giá trị riêng của $A$ có phần thực âm; nếu các giá trị riêng thuần ảo, họ đi vòng tròn.

# %%
GAMMA = 0.5
objectives = {
    "minimax": losses.minimax,
    "non-saturating": losses.non_saturating,
    "relativistic": losses.relativistic,
    "hinge": losses.hinge,
    "Wasserstein": losses.wasserstein,
}
chosen = {"no penalty": None, "R1": penalties.r1, "R1 + R2": penalties.r1_r2}


def told(eigenvalues):
    real, imaginary = eigenvalues.real.round(6) + 0.0, np.abs(eigenvalues.imag).max()  # no minus zero
    values = (
        f"${real[0]:.2f} \\pm {imaginary:.2f} i$" if imaginary > 1e-6 else ", ".join(f"${value:.2f}$" for value in sorted(real))
    )
    return values + (" comes in" if real.max() < -1e-6 else " circles" if imaginary > 1e-6 else "")


rows = ["| eigenvalues | " + " | ".join(chosen) + " |", "|---" * (1 + len(chosen)) + "|"]
for name, loss in objectives.items():
    found = [toy.dirac_gan(loss, penalty, gamma=GAMMA).eigenvalues for penalty in chosen.values()]
    rows.append(f"| {name} | " + " | ".join(told(each) for each in found) + " |")
Markdown("\n".join(rows))

# %% [markdown]
# Không có số hạng phạt thì hàm mục tiêu nào cũng đi vòng tròn; có phạt gradient thì hàm nào cũng hội tụ. Với R1, giá trị riêng
# của các hàm mất mát logistic là $-\tfrac{\gamma}{2} \pm \sqrt{\tfrac{\gamma^2}{4} - \tfrac14}$; ở đây $\gamma = 0.5$. Cũng
# điều ấy trong một hình vẽ, với trò chơi minimax và các bước cập nhật luân phiên có tốc độ học 0.1:

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 5.2), sharex=True, sharey=True, layout="constrained")
ticks = np.linspace(-2.0, 2.0, 17)
mesh = np.stack(np.meshgrid(ticks, ticks), axis=-1)
for axes, (name, penalty) in zip(panels, {"no penalty": None, "R1": penalties.r1}.items(), strict=True):
    field = jax.jit(toy.dirac_gan(losses.minimax, penalty, gamma=GAMMA).field)
    points = [np.array([1.3, 0.0])]
    for _ in range(400):
        theta, psi = points[-1]
        psi = psi + 0.1 * float(field(jnp.array([theta, psi]))[1])  # D, then
        theta = theta + 0.1 * float(field(jnp.array([theta, psi]))[0])  # G
        points.append(np.array([theta, psi]))
    way = np.array(points)
    arrows = np.asarray(jax.vmap(field)(jnp.asarray(mesh.reshape(-1, 2), jnp.float32))).reshape(mesh.shape)
    axes.quiver(
        mesh[..., 0], mesh[..., 1], arrows[..., 0], arrows[..., 1], color="#bbbbbb", width=0.003, label="velocity of both"
    )
    axes.plot(way[:, 0], way[:, 1], color=D_COLOUR, lw=1.2, label="400 steps")
    axes.plot(*way[0], "o", color=FAKE, label="start")
    axes.plot(0, 0, "k+", ms=10, label="equilibrium")
    axes.set(title=f"Dirac-GAN, minimax, {name}", xlabel=r"$\theta$, the generated point", aspect="equal")
    start, end = np.linalg.norm(way[[0, -1]], axis=1)
    print(f"{name}: distance from the equilibrium {start:.2f} at the start, {end:.4f} after 400 steps")
panels[0].set_ylabel(r"$\psi$, the slope of $D$'s logit")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %% [markdown]
# ## Không gian ẩn là trơn
#
# $G$ liên tục, nên đi một đường trong $z$ cũng là đi một đường trong $x$ không có bước nhảy, kể cả khi đi qua thung lũng giữa
# hai mode, nơi nó đi nhanh. Có một ánh xạ tăng và một ánh xạ giảm đưa $N(0, 1)$ thành đúng $p$: $G(z) = F^{-1}(\Phi(\pm z))$,
# với $\Phi$ và $F$ là hai hàm phân phối. Ánh xạ mà $G$ lại gần được vẽ bằng nét đứt.

# %%
ends = jnp.array([[-3.0], [3.0]])  # z_0 and z_1
z = latents.walk(ends, frames=1_601, path=latents.lerp)
way = np.asarray(sample(weights, KEY, z=z))[:, 0]
at = np.asarray(z)[:, 0]
rises = bool(way[-1] > way[0])
share = np.asarray(jax.scipy.stats.norm.cdf(at if rises else -at))
ideal = np.interp(share, np.cumsum(p) * LINE.volume, np.asarray(x)[:, 0] + 0.5 * LINE.volume)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True, width_ratios=(3, 1), layout="constrained")
left.plot(at, way, color=FAKE, label="$G(z)$")
left.plot(at, ideal, color="black", ls="--", lw=1, label="$F^{-1}(\\Phi(" + ("z" if rises else "-z") + "))$, exact")
left.set(title="A walk through latent space", xlabel="$z$, from $z_0 = -3$ to $z_1 = 3$", ylabel="$x$")
right.plot(p, x, color=REAL, label="$p$")
right.set(title="Where the data are", xlabel="density", ylim=(-4, 4))
for axes in (left, right):
    axes.legend(fontsize=9)
plt.show()
for stride in (8, 4, 2, 1):
    moves = np.abs(np.diff(way[::stride]))
    print(f"{len(moves):5,d} steps of the walk: the longest moves x by {moves.max():.3f}")

# %% [markdown]
# Bước trong $z$ ngắn đi một nửa, bước dài nhất trong $x$ cũng ngắn đi một nửa: ánh xạ có độ dốc hữu hạn ở mọi nơi.
#
# ## Bài tập
#
# Hãy nghĩ trước đã; mỗi lời giải là một ô chạy được.
#
# **1.** Ứng với mỗi điểm sinh ra, $D$ được cho xem hai điểm thật. Bây giờ $D$ tốt nhất là gì, và tại $p_g = p$ nó bằng bao
# nhiêu?
#
# **2.** $z$ chỉ là một số, và $G$ liên tục. Giữa hai mode của dữ liệu, $p_g$ có thể đúng bằng không được không? Thay vào đó,
# $G$ làm gì?
#
# **3.** Trong Dirac-GAN của trò chơi minimax với R1, $\gamma$ phải lớn đến đâu để hai người chơi hội tụ mà hoàn toàn không đi
# vòng? Các giá trị riêng ở trên có công thức.

# %% [markdown]
# **Lời giải 1.** $D$ làm cho $2 p \log d + p_g \log(1 - d)$ lớn nhất, nên $D^* = 2p / (2p + p_g)$; tại $p_g = p$ nó bằng
# $\tfrac23$, không còn là $\tfrac12$. Trên một lưới các giá trị $d$, tại điểm mà $p = p_g = 0.3$:

# %%
d = np.linspace(0.001, 0.999, 999)
print(f"the best d is {d[np.argmax(2 * 0.3 * np.log(d) + 0.3 * np.log(1 - d))]:.3f}")

# %% [markdown]
# **Lời giải 2.** Không thể: từ $G(z_0)$ bên trái đến $G(z_1)$ bên phải, một hàm $G$ liên tục đi qua mọi giá trị. Nó có thể
# băng qua thung lũng thật nhanh, và khi ấy ít điểm rơi vào đó. Đây là tỉ lệ các điểm của $p$ và của $p_g$ cách giữa thung
# lũng, $x = 0$, không quá 0.3:

# %%
points = np.asarray(sample(weights, jax.random.key(31), n=HELD_OUT))
for name, each in (("p", np.asarray(held_out)), ("p_g", points)):
    print(f"{name:>3}: {(np.abs(each) < 0.3).mean():.4f}")

# %% [markdown]
# **Lời giải 3.** Các giá trị riêng $-\tfrac{\gamma}{2} \pm \sqrt{\tfrac{\gamma^2}{4} - \tfrac14}$ là số thực kể từ
# $\gamma = 1$. Lớn hơn nữa chưa chắc đã tốt hơn: giá trị riêng chậm hơn trong hai giá trị tiến về không khi $\gamma$ tăng, và
# $D$ gần như không nhúc nhích được.

# %%
for gamma in (0.5, 1.0, 2.0, 8.0):
    print(f"gamma {gamma}: {told(toy.dirac_gan(losses.minimax, penalties.r1, gamma=gamma).eigenvalues)}")

# %% [markdown]
# Tiếp theo: vẫn trò chơi ấy, nhưng trong mặt phẳng, nơi ta nhìn thấy được toàn bộ, `2_two_dimensions`.
